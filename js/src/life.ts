/** The life of a page: it sleeps, wakes, loses and finds the network. */

/** What the node is told. */
export interface Life {
  resumed(): void
  offline(): void
  online(): void
}

/** A page that was hidden so long, in milliseconds, may have slept. */
const HIDDEN_MS = 5_000

/**
 * Tells `life` of this page or worker until the returned function is called.
 * What the platform has no event for simply does not come.
 */
export function followPage(life: Life): () => void {
  const stop = new AbortController()
  const options = { signal: stop.signal }
  addEventListener('online', () => life.online(), options)
  addEventListener('offline', () => life.offline(), options)
  if (typeof document !== 'undefined') {
    // Back from the cache of whole pages, whose sockets the browser has closed.
    addEventListener('pageshow', (event) => event.persisted && life.resumed(), options)
    document.addEventListener('resume', () => life.resumed(), options)
    let hidden = document.hidden ? performance.now() : undefined
    document.addEventListener(
      'visibilitychange',
      () => {
        const since = hidden
        hidden = document.hidden ? performance.now() : undefined
        if (!document.hidden && since !== undefined && performance.now() - since >= HIDDEN_MS) life.resumed()
      },
      options,
    )
  }
  return () => stop.abort()
}

/** Whether this is a page or a worker, and not Node. */
export function isPage(): boolean {
  return 'document' in globalThis || 'WorkerGlobalScope' in globalThis
}
