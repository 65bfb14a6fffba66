// The npm package as a test peer in Node; ../README.md describes its command line.
import { main } from '../shared/cli.mjs'
import { makePeer } from './adapter.mjs'
import { serveDht } from './dht.mjs'
import { serveMdns } from './mdns.mjs'
import { benchPubsub, servePubsub } from './pubsub.mjs'

await main(makePeer, { dht: serveDht, mdns: serveMdns, pubsub: servePubsub, 'pubsub-bench': benchPubsub })
