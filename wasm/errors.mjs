// What every failure of the package is.

export class VitError extends Error {
  // code is for programs: kebab-case, the C library's status names and a few of our own. The message is for people.
  constructor(code, message, options) {
    super(message, options)
    this.name = 'VitError'
    this.code = code
  }
}

// What a value is, for a message.
export const kind = (value) => (value === null ? 'null' : (value?.constructor?.name ?? typeof value))

export const argument = (message) => new VitError('argument', message)
export const cancelled = (signal) => new VitError('cancelled', 'cancelled by its signal', { cause: signal.reason })

export function throwIfCancelled(signal) {
  if (signal?.aborted) throw cancelled(signal)
}

// The promise, or a rejection as soon as signal fires. What the promise brings afterwards is dropped.
export function unlessCancelled(promise, signal) {
  if (!signal) return promise
  let stop
  const cut = new Promise((_, reject) => {
    stop = () => reject(cancelled(signal))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  return Promise.race([promise, cut]).finally(() => signal.removeEventListener('abort', stop))
}

const MOST = 2 ** 31 // bytes: so many are not even asked for; a page might be ended for it, and not every browser's workers can post them

// An array that the host may have no memory for.
export function allocate(Type, length) {
  const bytes = length * Type.BYTES_PER_ELEMENT
  const refused = (cause) => new VitError('out-of-memory', `out of memory: ${bytes} bytes`, { cause })
  if (bytes >= MOST) throw refused()
  try {
    return new Type(length)
  } catch (error) {
    throw refused(error)
  }
}

// Any error as a VitError; what is not one already is a fault of the package or the host.
export function asVitError(error, signal) {
  if (error instanceof VitError) return error
  if (signal?.aborted) return cancelled(signal)
  return new VitError('internal', `${error?.message ?? error}`, { cause: error })
}
