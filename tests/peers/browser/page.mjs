// What a test page runs: the checks of ../shared/protocols.mjs with the adapter
// that the bundle was made with (see bundle.mjs).
import { makePeer } from 'adapter'
import { handshakes, streams, throughput } from '../shared/bench.mjs'
import { check, serve } from '../shared/protocols.mjs'

const dialer = async () => {
  const peer = await makePeer({})
  serve(peer)
  return peer
}

globalThis.testPeer = {
  dial: (address, options) => check(dialer, address, options),
  perf: (address, options) => throughput(dialer, address, options),
  streams: (address, options) => streams(dialer, address, options),
  handshakes: (address, options) => handshakes(dialer, address, options),
}
