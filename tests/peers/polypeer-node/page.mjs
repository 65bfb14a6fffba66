// The npm package behind the adapter of ../shared/protocols.mjs, in a page: with WebRTC.
import { makePeer as make } from './adapter.mjs'

export const makePeer = (options) => make({ ...options, webrtc: { iceServers: [] } })
