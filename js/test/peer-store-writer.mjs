// Writes to a peer store's file without end, and says after each write which it was.
import { filePeerStore } from 'polypeer'

const store = filePeerStore(process.argv[2])
const entries = await store.load()
const last = entries.find(([key]) => String(Buffer.from(key)) === 'last')
let round = last === undefined ? 0 : Number(Buffer.from(last[1]))
for (;;) {
  round++
  const changes = Array.from({ length: 10 }, (_, key) => ({
    key: Buffer.from(`key ${key}`),
    value: Buffer.from(`${round} ${'x'.repeat((round * 997) % 5000)}`),
  }))
  await store.write([...changes, { key: Buffer.from('last'), value: Buffer.from(String(round)) }])
  process.stdout.write(`${round}\n`)
}
