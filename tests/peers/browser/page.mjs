// What a test page runs: the checks of ../shared/protocols.mjs with the adapter
// that the bundle was made with (see bundle.mjs).
import { makePeer } from 'adapter'
import { firstByte, handshakes, streams, throughput } from '../shared/bench.mjs'
import { check, serve } from '../shared/protocols.mjs'
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
  perf: (address, options) => throughput(dialer, address, options),
  streams: (address, options) => streams(dialer, address, options),
  bareChannel: (_, { bytes }) => bareChannel(bytes),
  firstByte: (address) => firstByte(dialer, address),
  handshakes: (address, options) => handshakes(dialer, address, options),
}
