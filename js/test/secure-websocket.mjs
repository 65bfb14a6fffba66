// A server of `wss` with the key and certificate given, and a dial to it: prints
// "echoed", or why it could not.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { WebSocketServer } from 'ws'
import { socketAddress } from '../dist/address.js'
import { dialWs } from '../dist/host/node-ws.js'

const [key, cert] = process.argv.slice(2).map((path) => readFileSync(path))
const https = createServer({ key, cert })
new WebSocketServer({ server: https }).on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data))
})
https.listen(0, '127.0.0.1', async () => {
  const address = socketAddress(`/ip4/127.0.0.1/tcp/${https.address().port}/tls/ws`)
  try {
    const link = await dialWs(address, '', new AbortController().signal)
    link.start({
      data(bytes) {
        console.log(Buffer.from(bytes).toString())
        process.exit()
      },
      drain() {},
      end() {},
    })
    link.send(Buffer.from('echoed'))
  } catch (error) {
    console.log(error.message)
    process.exit()
  }
})
