// The test protocols over any implementation's streams, as their server and as
// the dialer's checks; it runs in Node and in a page. A *peer* here is what
// ../README.md calls an adapter:
//
//   connect(address) → the remote's PeerId          identify() → { agent, protocols }
//   ping() → milliseconds                           open(protocol) → stream
//   handle(protocol, (stream) => Promise)           listen(transport) → addresses
//   peerId, disconnect(), close()
//
// and a *stream* { write(bytes), closeWrite(), read() → bytes or undefined at the end, reset() },
// whose methods reject once the remote has reset it.

export const echo = '/echo/1.0.0'
export const halfClose = '/test/half-close/1.0.0'
export const reset = '/test/reset/1.0.0'
export const perf = '/perf/1.0.0'
const ping = '/ipfs/ping/1.0.0'

const echoBytes = 16 << 20
const halfCloseBytes = 100_000
const chunk = 64 << 10
/** A check ends within this time, or it has failed. */
const patience = 60_000

/** Serves every test protocol. */
export function serve(peer) {
  peer.handle(echo, async (stream) => {
    for (let bytes = await stream.read(); bytes; bytes = await stream.read()) await stream.write(bytes)
    await stream.closeWrite()
  })
  peer.handle(halfClose, async (stream) => {
    await stream.write(await sha256(await readAll(stream)))
    await stream.closeWrite()
  })
  peer.handle(reset, async (stream) => {
    await stream.read()
    stream.reset()
  })
  peer.handle(perf, async (stream) => {
    let head = new Uint8Array()
    for (let bytes = await stream.read(); bytes; bytes = await stream.read()) {
      if (head.length < 8) head = concat([head, bytes])
    }
    const count = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0)
    await sendZeros(stream, Number(count))
    await stream.closeWrite()
  })
}

/** Runs every check against `address`; `makePeer` makes a fresh dialer. */
export async function check(makePeer, address, { agent = '' } = {}) {
  const checks = {}
  const run = async (name, body) => {
    const start = performance.now()
    let ok = false
    let detail
    try {
      detail = await within(patience, body())
      ok = true
    } catch (error) {
      detail = describe(error)
    }
    checks[name] = { ok, ms: performance.now() - start, detail }
  }
  const peer = await makePeer()
  try {
    await run('connect', () => connected(peer, address))
    if (checks.connect.ok) {
      await run('identify', () => identified(peer, agent))
      await run('ping', async () => `${await peer.ping()} ms`)
      await run('echo', () => echoed(peer))
      await run('halfClose', () => halfClosed(peer))
      await run('reset', () => wasReset(peer))
      await run('unknownProtocol', () => refused(peer))
      await run('wrongPeer', () => wrongPeer(makePeer, address))
    }
    return { ok: Object.values(checks).every(({ ok }) => ok), peerId: peer.peerId, checks }
  } finally {
    await peer.close()
  }
}

async function connected(peer, address) {
  const remote = await peer.connect(address)
  const wanted = address.split('/p2p/').at(-1)
  if (remote !== wanted) throw new Error(`connected to ${remote}, not ${wanted}`)
  return remote
}

async function identified(peer, wanted) {
  const { agent, protocols } = await peer.identify()
  if (!agent?.includes(wanted)) throw new Error(`agent is ${JSON.stringify(agent)}`)
  for (const protocol of [echo, halfClose, reset, ping]) {
    if (!protocols.includes(protocol)) throw new Error(`${protocol} is not among ${protocols.join(' ')}`)
  }
  return agent
}

async function echoed(peer) {
  const stream = await peer.open(echo)
  // Not the same bytes twice, so that lost, doubled or swapped parts show.
  const words = new Uint32Array(echoBytes / 4).map((_, index) => Math.imul(index, 0x9e3779b1))
  const data = new Uint8Array(words.buffer)
  const write = async () => {
    for (let at = 0; at < data.length; at += chunk) await stream.write(data.subarray(at, at + chunk))
    await stream.closeWrite()
  }
  const [received] = await Promise.all([readAll(stream), write()])
  const [sent, back] = await Promise.all([sha256(data), sha256(received)])
  if (received.length !== echoBytes || !equal(sent, back)) {
    throw new Error(`${received.length} bytes came back, or others than sent`)
  }
  return `${received.length} bytes`
}

async function halfClosed(peer) {
  const stream = await peer.open(halfClose)
  const data = new Uint8Array(halfCloseBytes).fill(0x5a)
  await stream.write(data)
  await stream.closeWrite()
  const answer = await readAll(stream)
  if (!equal(answer, await sha256(data)))
    throw new Error(`answer of ${answer.length} bytes is not the digest`)
  return 'digest after our end was closed'
}

async function wasReset(peer) {
  const stream = await peer.open(reset)
  await stream.write(new Uint8Array([1]))
  try {
    await readAll(stream)
  } catch (error) {
    return describe(error)
  }
  throw new Error('the stream was closed, not reset')
}

async function refused(peer) {
  let stream
  try {
    stream = await peer.open('/test/nobody-speaks-this/1.0.0')
    // With a lazy selection the refusal comes with the first read.
    await stream.read()
  } catch (error) {
    return describe(error)
  }
  throw new Error('an unknown protocol was accepted')
}

/** Dials the same address with the name of somebody else. */
async function wrongPeer(makePeer, address) {
  const [other, dialer] = await Promise.all([makePeer(), makePeer()])
  try {
    const wrong = `${address.slice(0, address.lastIndexOf('/p2p/'))}/p2p/${other.peerId}`
    await dialer.connect(wrong)
  } catch (error) {
    return `refused: ${describe(error)}`
  } finally {
    await Promise.all([other.close(), dialer.close()])
  }
  throw new Error('a wrong PeerId was accepted')
}

export async function readAll(stream) {
  const parts = []
  for (let bytes = await stream.read(); bytes; bytes = await stream.read()) parts.push(bytes)
  return concat(parts)
}

/** Writes `count` bytes that are all zero. */
export async function sendZeros(stream, count) {
  const zeros = new Uint8Array(chunk)
  for (let left = count; left > 0; left -= chunk) {
    await stream.write(left >= chunk ? zeros : zeros.subarray(0, left))
  }
}

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
const equal = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index])
const describe = (error) =>
  `${error?.name ?? 'Error'}${error?.code ? ` (${error.code})` : ''}: ${error?.message ?? error}`

function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function within(milliseconds, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${milliseconds} ms`)), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
