// js-ipns and Helia's client of routing over HTTP, asked a call a line: `["name", …arguments]`,
// answered by `{ "result" }` or `{ "error" }`. Bytes are in base64.
import { createInterface } from 'node:readline'
import { delegatedRoutingV1HttpApiClient } from '@helia/delegated-routing-v1-http-api-client'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { defaultLogger } from '@libp2p/logger'
import { peerIdFromMultihash, peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { createIPNSRecord, marshalIPNSRecord, multihashToIPNSRoutingKey, unmarshalIPNSRecord } from 'ipns'
import { ipnsSelector } from 'ipns/selector'
import { ipnsValidator } from 'ipns/validator'
import { CID } from 'multiformats/cid'

const key = await generateKeyPair('Ed25519')
const self = peerIdFromPrivateKey(key)

const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))
const text = (bytes) => Buffer.from(bytes).toString('base64')
const routingKey = (name) => multihashToIPNSRoutingKey(peerIdFromString(name).toMultihash())

const sign = async (value, sequence) =>
  marshalIPNSRecord(await createIPNSRecord(key, value, sequence, 3_600_000))

async function read(name, record) {
  await ipnsValidator(routingKey(name), record)
  const { value, sequence } = unmarshalIPNSRecord(record)
  return { value, sequence: String(sequence) }
}

const client = (url) => delegatedRoutingV1HttpApiClient({ url, cacheTTL: 0 })({ logger: defaultLogger() })

async function peers(found) {
  const all = []
  for await (const { ID, Addrs } of found) {
    all.push({ peer: peerIdFromMultihash(ID.multihash).toString(), addresses: Addrs.map(String) })
  }
  return all
}

const calls = {
  name: () => self.toString(),
  sign: async (value, sequence) => text(await sign(value, sequence)),
  validate: (name, record) => read(name, bytes(record)),
  select: (name, records) => ipnsSelector(routingKey(name), records.map(bytes)),
  publish: async (url, value, sequence) => client(url).putIPNS(self.toCID(), await sign(value, sequence)),
  put: (url, name, record) => client(url).putIPNS(peerIdFromString(name).toCID(), bytes(record)),
  resolve: async (url, name) => read(name, await client(url).getIPNS(peerIdFromString(name).toCID())),
  providers: (url, cid, filters) => peers(client(url).getProviders(CID.parse(cid), filters)),
  peer: (url, name, filters) => peers(client(url).getPeers(peerIdFromString(name).toCID(), filters)),
  closest: (url, cid) => peers(client(url).getClosestPeers(CID.parse(cid))),
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line)
  const answer = await Promise.resolve()
    .then(() => calls[name](...args))
    .then(
      (result) => ({ result }),
      (error) => ({ error: `${error.name}: ${error.message}` }),
    )
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit()
