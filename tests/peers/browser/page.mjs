// What a test page runs: the checks of ../shared/protocols.mjs with the adapter
// that the bundle was made with (see bundle.mjs).
import { makePeer } from 'adapter'
import { firstByte, handshakes, streams, throughput } from '../shared/bench.mjs'
import { check, perf, serve } from '../shared/protocols.mjs'
import { bareChannel } from './bare.mjs'

const dialer = async () => {
  const peer = await makePeer({})
  serve(peer)
  return peer
}

let listener

globalThis.testPeer = {
  /** Listens at these places until the page is closed; tells the address that matches. */
  listen: async (places, pattern) => {
    listener = await makePeer({ listen: places })
    serve(listener)
    for (;;) {
      const address = listener.addresses.find((one) => new RegExp(pattern).test(one))
      if (address !== undefined) return address
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  },
  dial: (address, options) => check(dialer, address, options),
  /** Asks for so many bytes and reads them, resting after each part; what comes of it. */
  slowly: async (address, { bytes, rest }) => {
    const peer = await makePeer({})
    try {
      await peer.connect(address)
      const stream = await peer.open(perf)
      const length = new DataView(new ArrayBuffer(8))
      length.setBigUint64(0, BigInt(bytes))
      await stream.write(new Uint8Array(length.buffer))
      await stream.closeWrite()
      while (await stream.read()) await new Promise((resolve) => setTimeout(resolve, rest))
      return 'all was read'
    } catch ({ name, code }) {
      return { name, code }
    } finally {
      await peer.close()
    }
  },
  perf: (address, options) => throughput(dialer, address, options),
  streams: (address, options) => streams(dialer, address, options),
  bareChannel: (_, { bytes }) => bareChannel(bytes),
  firstByte: (address) => firstByte(dialer, address),
  handshakes: (address, options) => handshakes(dialer, address, options),
}
