/** IndexedDB in promises. */

/** Opens the database `name`, which `make` fills when it is new. */
export function openDatabase(name: string, make: (database: IDBDatabase) => void): Promise<IDBDatabase> {
  if (typeof indexedDB === 'undefined') return Promise.reject(new Error('there is none here'))
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => make(opening.result)
  return settled(opening)
}

/** What a request came to. */
export function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = (event) => {
      // Else the failed request would abort the page's error reporting too.
      event.preventDefault()
      reject(request.error)
    }
  })
}

/** Resolves when all of a transaction is done. */
export function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
  })
}

/** Why it failed, in words. */
export function reasonOf(error: unknown): string {
  return `IndexedDB: ${(error as DOMException | null)?.message ?? 'failed'}`
}
