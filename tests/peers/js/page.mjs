// js-libp2p behind the adapter of ../shared/protocols.mjs, in a page: with relays and WebRTC.
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { makePeer as make } from './adapter.mjs'

/** On loopback nobody needs to be told their address. */
const rtcConfiguration = { iceServers: [] }

export const makePeer = (options) =>
  make({
    ...options,
    transports: [webRTC({ rtcConfiguration }), webRTCDirect({ rtcConfiguration }), circuitRelayTransport()],
  })
