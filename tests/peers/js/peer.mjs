// js-libp2p as a test peer in Node; ../README.md describes its command line.
import { tcp } from '@libp2p/tcp'
import { main } from '../shared/cli.mjs'
import { makePeer } from './adapter.mjs'

await main(({ listen }) => makePeer({ listen, transports: [tcp()] }))
