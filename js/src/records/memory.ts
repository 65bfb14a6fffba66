/** A store of records in memory. */

import { type Item, Shelf } from './shelf.js'
import type { RecordLimits, RecordStore, StoredRecord } from './types.js'

/**
 * Keeps records in memory, where nodes of one process or page may share them; for tests
 * and for those who come and go.
 */
export function memoryRecordStore(limits: RecordLimits = {}): RecordStore {
  const shelf = new Shelf<Item & { readonly entry: StoredRecord }>(limits)
  return {
    async open() {},
    async find(place) {
      return shelf.at(latin1(place)).map(({ entry }) => entry)
    },
    async write(entries) {
      for (const { place, name, value, expires } of entries) {
        const entry = { place: place.slice(), name: name.slice(), value: value.slice(), expires }
        shelf.put({ place: latin1(place), name: latin1(name), expires, size: value.length, entry })
      }
    },
    async tidy(unixMillis) {
      shelf.tidy(unixMillis)
    },
    async close() {},
  }
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
