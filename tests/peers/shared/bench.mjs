// What the benchmarks ask of a dialer, over the adapter that protocols.mjs describes.
import { echo, perf, readAll, sendZeros } from './protocols.mjs'

/** Streams in flight at a time, in the second half of `streams`. */
const inFlight = 64
/** What goes before the clock starts: the engine compiles what is used often. */
const warmUp = { bytes: 8 << 20, times: 100 }

const secondsSince = (start) => (performance.now() - start) / 1000

/** Runs the perf protocol once a direction. */
export async function throughput(makePeer, address, { upload, download }) {
  const peer = await makePeer()
  try {
    await peer.connect(address)
    await transfer(peer, Math.min(upload, warmUp.bytes), Math.min(download, warmUp.bytes))
    return {
      ok: true,
      upload: { bytes: upload, seconds: await transfer(peer, upload, 0) },
      download: { bytes: download, seconds: await transfer(peer, 0, download) },
    }
  } finally {
    await peer.close()
  }
}

async function transfer(peer, upload, download) {
  const stream = await peer.open(perf)
  const start = performance.now()
  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, BigInt(download))
  await stream.write(head)
  await sendZeros(stream, upload)
  await stream.closeWrite()
  let count = 0
  for (let bytes = await stream.read(); bytes; bytes = await stream.read()) count += bytes.length
  if (count !== download) throw new Error(`${count} bytes came, not ${download}`)
  return secondsSince(start)
}

/**
 * Opens `count` streams one after another, then as many (or as told) side by side; a byte
 * goes there and back on each.
 */
export async function streams(makePeer, address, { count, together = count }) {
  const peer = await makePeer()
  const byteAndBack = async () => {
    const stream = await peer.open(echo)
    await stream.write(new Uint8Array([1]))
    await stream.closeWrite()
    const answer = await readAll(stream)
    if (answer.length !== 1 || answer[0] !== 1) throw new Error('another byte came back')
  }
  const oneByOne = async (times) => {
    for (let index = 0; index < times; index++) await byteAndBack()
  }
  try {
    await peer.connect(address)
    await oneByOne(warmUp.times)
    let start = performance.now()
    await oneByOne(count)
    const sequential = secondsSince(start)
    start = performance.now()
    let left = together
    const worker = async () => {
      while (left-- > 0) await byteAndBack()
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
    return { ok: true, count, sequential, parallel: secondsSince(start) }
  } finally {
    await peer.close()
  }
}

/**
 * Connects `count` times one after another; tells the time until each connection
 * was open, without that of closing it.
 */
export async function handshakes(makePeer, address, { count }) {
  const peer = await makePeer()
  const connect = async (times) => {
    let dialing = 0
    for (let index = 0; index < times; index++) {
      const start = performance.now()
      await peer.connect(address)
      dialing += secondsSince(start)
      await peer.disconnect()
    }
    return dialing
  }
  try {
    await connect(warmUp.times)
    return { ok: true, count, sequential: await connect(count) }
  } finally {
    await peer.close()
  }
}

/** How long it takes from a dial to the first byte that has gone there and back, with a peer that is new. */
export async function firstByte(makePeer, address) {
  const peer = await makePeer()
  try {
    const start = performance.now()
    await peer.connect(address)
    const stream = await peer.open(echo)
    await stream.write(new Uint8Array([1]))
    await stream.read()
    const milliseconds = performance.now() - start
    await stream.closeWrite()
    return { ok: true, milliseconds }
  } finally {
    await peer.close()
  }
}
