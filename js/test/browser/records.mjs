// Stores of records in a page.
import { fileRecordStore, indexedDbRecordStore, memoryRecordStore } from 'polypeer'
import { run } from '../record-stores.mjs'

const opened = async (name) => {
  const store = indexedDbRecordStore(name)
  await store.open()
  return store
}
const place = new Uint8Array(33).fill(0x72)
const entry = (name, expires) => ({ place, name: Uint8Array.of(name), value: new Uint8Array(9), expires })
const ends = async (store) => (await store.find(place)).map(({ expires }) => expires)

const actions = {
  indexedDb: (name) => run(name, (name, limits) => indexedDbRecordStore(`case ${name}`, limits)),

  memory: (name) => {
    const stores = new Map()
    return run(name, (name, limits) => {
      if (!stores.has(name)) stores.set(name, memoryRecordStore(limits))
      return stores.get(name)
    })
  },

  // Two stores of one name, as two pages have them.
  shared: async () => {
    const [one, two] = [await opened('shared'), await opened('shared')]
    const writes = Array.from({ length: 40 }, (_, name) => (name % 2 ? one : two).write([entry(name, name)]))
    await Promise.all(writes)
    const both = [await ends(one), await ends(two)]
    await one.close()
    await two.close()
    return both
  },

  // The page ends in the middle of the next write.
  write: async (count) => {
    const store = await opened('left')
    await store.write(Array.from({ length: count }, (_, name) => entry(name, 1)))
    void store.write(Array.from({ length: count }, (_, name) => entry(name, 2)))
  },

  recall: async () => {
    const store = await opened('left')
    const found = await ends(store)
    await store.close()
    return found
  },

  unsupported: () => {
    try {
      fileRecordStore('x')
    } catch (error) {
      return error.code
    }
  },

  closed: async () => {
    const store = indexedDbRecordStore('closed')
    return store.find(place).catch((error) => error.code)
  },
}

globalThis.inPage = (name, ...args) => actions[name](...args)
globalThis.isReady = true
