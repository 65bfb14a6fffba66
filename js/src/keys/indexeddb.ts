/** A private key in the browser's IndexedDB. */

import { KeyError } from '../errors.js'
import type { KeyStore } from '../types.js'

const STORE = 'keys'
const NAME = 'identity'

/**
 * Keeps the private key in the IndexedDB database `name` of this origin. Pages
 * and workers of the origin that use the same name are the same peer, so give
 * pages that run at the same time names of their own.
 *
 * @example
 * ```ts
 * const node = await createNode({ keyStore: indexedDbKeyStore('chat') })
 * ```
 */
export function indexedDbKeyStore(name: string): KeyStore {
  return {
    load: () => run(name, 'readonly', (store) => store.get(NAME) as IDBRequest<Uint8Array | undefined>),
    async save(key) {
      try {
        await run(name, 'readwrite', (store) => store.add(key, NAME))
        return key
      } catch (error) {
        const kept = await run(
          name,
          'readonly',
          (store) => store.get(NAME) as IDBRequest<Uint8Array | undefined>,
        )
        if (kept !== undefined) return kept
        throw error
      }
    },
  }
}

async function run<T>(
  name: string,
  mode: IDBTransactionMode,
  action: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  if (typeof indexedDB === 'undefined') throw new KeyError('there is no IndexedDB here')
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE)
  const database = await settled(opening)
  try {
    return await settled(action(database.transaction(STORE, mode).objectStore(STORE)))
  } finally {
    database.close()
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = (event) => {
      // Else the failed request would abort the page's error reporting too.
      event.preventDefault()
      reject(new KeyError(`IndexedDB: ${request.error?.message ?? 'failed'}`, { cause: request.error }))
    }
  })
}
