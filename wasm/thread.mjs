// A helper thread of an engine: one message says which. It works until its worker is terminated.

export function help(port) {
  port.onmessage = ({ data: { module, env, stack, index } }) => {
    const { exports } = new WebAssembly.Instance(module, { env: { ...env, now: () => performance.now() } })
    exports.__stack_pointer.value = stack
    port.postMessage('begun')
    exports.vit_js_help(index)
  }
}
