// How fast messages come to all of many peers in this process: gossip.rs in JavaScript.
const TOPIC = 'bench'
/** Bytes of a message. */
const LENGTH = 1024
/** Earlier peers that each dials. */
const DIALS = 5
/** Messages in a row that all have to hear before the clock starts: there is a mesh then. */
const WARM_UP = 10
/** How long a message may take before it counts as lost, in milliseconds. */
const PATIENCE_MS = 10_000
const WARM_UP_MS = 1000

/**
 * `make()` makes a peer that listens: `{ address, connect(address), subscribe(topic, heard),
 * publish(topic, data), close() }`; `window` messages are under way at a time.
 */
export async function gossip(make, { count, messages, window }) {
  const under = new Map()
  const heard = (data) => {
    const one = under.get(number(data))
    if (one === undefined) return
    one.heard++
    if (one.heard === count - 1) one.over(true)
  }
  const peers = []
  for (let at = 0; at < count; at++) {
    const peer = await make()
    await peer.subscribe(TOPIC, (_from, data) => heard(data))
    for (const other of dials(at)) await peer.connect(peers[other].address)
    peers.push(peer)
  }
  let next = 0
  const publish = (patience) => {
    const id = next++
    const done = new Promise((over) => {
      under.set(id, { heard: 0, over })
      setTimeout(over, patience, false)
    }).finally(() => under.delete(id))
    // Who has no peers as yet says so: it is not heard, which is counted.
    Promise.resolve(peers[id % count].publish(TOPIC, message(id))).catch(() => {})
    return done
  }
  for (let inARow = 0; inARow < WARM_UP; ) {
    if (next === 100 * WARM_UP) throw new Error('the peers do not hear each other')
    inARow = (await publish(WARM_UP_MS)) ? inARow + 1 : 0
  }
  const cpu = process.cpuUsage()
  const began = performance.now()
  const underWay = []
  let lost = 0
  for (let sent = 0; sent < messages; sent++) {
    if (underWay.length === window && !(await underWay.shift())) lost++
    underWay.push(publish(PATIENCE_MS))
  }
  for (const one of underWay) if (!(await one)) lost++
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const deliveries = messages * (count - 1)
  for (const peer of peers) await peer.close()
  return { peers: count, messages, lost, seconds, cpu: (user + system) / 1e6, deliveries }
}

/** The same random graph each time. */
function dials(peer) {
  let state = BigInt(peer)
  const chosen = new Set()
  while (chosen.size < Math.min(DIALS, peer)) {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    chosen.add(Number(state >> 33n) % peer)
  }
  return chosen
}

function message(id) {
  const data = new Uint8Array(LENGTH).fill(0x55)
  new DataView(data.buffer).setUint32(0, id)
  return data
}

const number = (data) => new DataView(data.buffer, data.byteOffset).getUint32(0)
