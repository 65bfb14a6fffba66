// Writes to a file of records without end, and says after each write which it was.
import { fileRecordStore } from 'polypeer'

const store = fileRecordStore(process.argv[2])
await store.open()
const place = new Uint8Array(33).fill(0x70)
const [last] = await store.find(place)
let round = last === undefined ? 0 : last.expires
for (;;) {
  round++
  const length = (round * 997) % 5000
  const entries = Array.from({ length: 40 }, (_, name) => ({
    place,
    name: Uint8Array.of(name),
    value: new Uint8Array(length).fill(round),
    expires: round,
  }))
  await store.write(entries)
  process.stdout.write(`${round}\n`)
}
