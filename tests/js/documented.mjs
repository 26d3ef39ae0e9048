// Whether every function of the package has an example in wasm/vit.d.ts:  node tests/js/documented.mjs TYPESCRIPT
// TYPESCRIPT: the folder of its package. Overloads share what stands above the first of them.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const [folder] = process.argv.slice(2)
const ts = createRequire(import.meta.url)(resolve(folder))
const file = new URL('../../wasm/vit.d.ts', import.meta.url)
const source = ts.createSourceFile('vit.d.ts', readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
const undocumented = []
const documented = new Set()

function visit(node) {
  if (ts.isMethodDeclaration(node) || ts.isMethodSignature(node) || ts.isFunctionDeclaration(node)) {
    const name = `${node.parent.name?.text ?? ''}.${node.name.getText()}`
    const comments = (ts.getLeadingCommentRanges(source.text, node.pos) ?? []).map(({ pos, end }) => source.text.slice(pos, end))
    if (comments.some((text) => text.includes('```js'))) documented.add(name)
    else if (!documented.has(name) && !node.name.getText().startsWith('[')) undocumented.push(name)
  }
  ts.forEachChild(node, visit)
}
visit(source)

for (const name of undocumented) console.log(`FAILED ${name} has no example in vit.d.ts`)
console.log(`${documented.size} passed, ${undocumented.length} failed`)
process.exitCode = undocumented.length ? 1 : 0
