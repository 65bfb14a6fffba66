// What every store of records does, as cases to run against one: those of
// `facade::conformance` in Rust, in Node and in pages.

const MAX_FOUND = 64
const MAX_NAME = 42
const MAX_VALUE = 128 * 1024
const DAY = 24 * 3600 * 1000

/** A place of records, or of providers for an odd number. */
const place = (number) => {
  const bytes = new Uint8Array(33).fill(number)
  bytes[0] = number % 2 === 0 ? 0x72 : 0x70
  return bytes
}

const entry = (at, name, length, expires) => ({
  place: place(at),
  name: Uint8Array.from(typeof name === 'string' ? new TextEncoder().encode(name) : name),
  value: Uint8Array.from({ length }, (_, index) => (index * 7) ^ at),
  expires,
})

const describe = ({ place, name, value, expires }) =>
  `${[...place]} ${[...name]} (${value.length}) ${value.slice(0, 300)} until ${expires}`

async function finds(store, at, expected, what) {
  const found = (await store.find(place(at))).map(describe)
  const wanted = expected.map(describe)
  if (found.length !== wanted.length || found.some((one, index) => one !== wanted[index])) {
    throw new Error(`${what ?? 'found'}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`)
  }
}

const check = (is, what) => {
  if (!is) throw new Error(what)
}

const cases = {
  async found(store) {
    await finds(store, 2, [], 'an empty store has something')
    await store.write([])
    const [one, two] = [entry(2, '', 3, 10), entry(4, '', 5, Number.POSITIVE_INFINITY)]
    await store.write([one, two])
    await finds(store, 2, [one])
    await finds(store, 4, [two])
    await finds(store, 6, [], 'something is at another place')
    await finds(store, 3, [], 'something is at another place')
  },

  async replaced(store) {
    for (const [length, expires] of [
      [10, 30],
      [5, 40],
      [7, 35],
    ]) {
      await store.write([entry(2, '', length, expires)])
      await finds(store, 2, [entry(2, '', length, expires)], 'an old one is found')
    }
    await store.write([entry(2, '', 1, 50), entry(2, '', 2, 51)])
    await finds(store, 2, [entry(2, '', 2, 51)], 'the last of a write counts')
    await store.write([entry(2, '', 0, 52)])
    await finds(store, 2, [entry(2, '', 0, 52)], 'an empty value is one')
  },

  async names(store) {
    const count = MAX_FOUND + 10
    const name = (number) => [0x2f, 0, 0xff, 0x2e, 0, 0, number >> 8, number & 255]
    const all = Array.from({ length: count }, (_, number) => entry(1, name(number), 20, 1000 + number))
    await store.write(all)
    await store.write([entry(3, 'other', 1, 5000)])
    await finds(store, 1, all.slice(10).reverse(), 'those that expire last, in this order')
    const latest = entry(1, name(0), 2, 9000)
    await store.write([latest])
    await finds(store, 1, [latest, ...all.slice(11).reverse()])
  },

  async largest(store) {
    const largest = entry(1, new Uint8Array(MAX_NAME).fill(0xff), MAX_VALUE, 10)
    await store.write([largest])
    await finds(store, 1, [largest])
  },

  async together(store) {
    const numbers = Array.from({ length: 20 }, (_, number) => number)
    await Promise.all(
      numbers.map((number) => store.write([entry(1, [number], 100, 10), entry(number, 'own', 9, 10)])),
    )
    // At place 1 stands its own one, too.
    check((await store.find(place(1))).length === 21, 'a write undid another')
    await finds(store, 8, [entry(8, 'own', 9, 10)])
  },

  async expired(store) {
    await store.write([entry(1, 'a', 1, DAY), entry(1, 'b', 1, 3 * DAY)])
    await store.write([entry(2, '', 1, 2 * DAY), entry(4, '', 1, Number.POSITIVE_INFINITY)])
    await store.tidy(2.5 * DAY)
    await finds(store, 1, [entry(1, 'b', 1, 3 * DAY)])
    await finds(store, 2, [])
    await finds(store, 4, [entry(4, '', 1, Number.POSITIVE_INFINITY)])
    // What lives longer now, stays.
    await store.write([entry(1, 'b', 1, 5 * DAY)])
    await store.tidy(4 * DAY)
    await finds(store, 1, [entry(1, 'b', 1, 5 * DAY)])
  },

  async entries(store) {
    const all = Array.from({ length: 30 }, (_, number) => entry(1, [number], 5, DAY * (100 + number)))
    for (const one of all) await store.write([one])
    await store.tidy(0)
    await finds(store, 1, all.slice(20).reverse(), 'ten entries, those that expire last')
  },

  async bytes(store) {
    for (let number = 0; number < 20; number++) {
      await store.write([entry(1, [number], 99, DAY * (100 + number))])
    }
    await store.tidy(0)
    const found = await store.find(place(1))
    const bytes = found.reduce((sum, { value }) => sum + value.length, 0)
    check(bytes <= 1000, `${bytes} bytes`)
    check(found.length >= 7, `${found.length} entries are less than there is room for`)
    check(
      found.some(({ name }) => name[0] === 19),
      'the last to expire is gone',
    )
  },
}

const limits = { entries: { entries: 10 }, bytes: { bytes: 1000 } }

/** The names of all cases. */
export const names = [...Object.keys(cases), 'again']

/**
 * Runs a case. `make` is given a name and limits: the first time it makes an empty store,
 * afterwards (none of it is open then) the one of that name again.
 */
export async function run(name, make) {
  const opened = async () => {
    const store = await make(name, limits[name])
    await store.open()
    return store
  }
  const store = await opened()
  if (name !== 'again') {
    await cases[name](store)
    await store.close()
    return
  }
  // What was written stays.
  await store.write([entry(1, 'a', 3, 10), entry(2, '', 4, 20)])
  await store.close()
  const again = await opened()
  await finds(again, 1, [entry(1, 'a', 3, 10)], 'what was written is gone')
  await finds(again, 2, [entry(2, '', 4, 20)], 'what was written is gone')
  await again.close()
}
