/** Waiting for something that a signal may cut short. */

/** What may end a call early. */
export interface AbortOptions {
  /** Ends the call: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** The two ends of a promise. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void
}

/** A promise with its ends in hand. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/**
 * Settles as `promise`, or rejects with the signal's reason if that comes
 * first; `cancel` is then called, to give up what nobody waits for.
 */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  cancel?: (reason: unknown) => void,
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason)
      cancel?.(signal.reason)
    }
    if (signal.aborted) {
      promise.catch(() => {})
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort)
    })
  })
}

/** `Symbol.asyncDispose`, also where the platform has none yet (compilers fall back to the same). */
export const asyncDispose: typeof Symbol.asyncDispose =
  (Symbol.asyncDispose as symbol | undefined as typeof Symbol.asyncDispose) ??
  (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose)
