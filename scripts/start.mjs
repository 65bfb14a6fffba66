// npm start: sets up, builds, runs the server and serves the demo page. Both are
// reached from this machine only. Ctrl-C stops all.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from './build.mjs'
import { bold, built, entry, Failure, heading, root, say, targetFolder } from './lib.mjs'
import { setup } from './setup.mjs'
import { serveFolder } from './static-server.mjs'

// The server's key and the page's port are kept, so that addresses stay the same.
const state = join(targetFolder, 'demo')
const portFile = join(state, 'port')

/** Runs `polypeer serve`; resolves when it listens. */
function startServer() {
  const child = spawn(
    built('polypeer'),
    [
      ...['--json', 'serve', '--key', join(state, 'key')],
      ...['--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/tcp/0/ws'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Failure(`the server could not be started: ${error.message}`)))
    child.on('close', (code, signal) => reject(new Failure(`the server ended with ${signal ?? code}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line)
      if (event.event === 'listening') resolve({ child, peer: event.peer, addresses: event.addresses })
      else if (event.event === 'connected') say(`  + ${event.peer}`)
      else if (event.event === 'disconnected') say(`  - ${event.peer}`)
    })
  })
}

await entry(async () => {
  await setup()
  await build()
  const page = join(root, 'www/dist')
  if (!existsSync(join(page, 'index.html')))
    throw new Failure('the demo page was not built: www/dist/index.html is missing')
  heading('Start')
  mkdirSync(state, { recursive: true })
  const server = await startServer()
  const web = await serveFolder(page, {
    port: existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) || 0 : 0,
    // Where the page learns whom to connect to.
    extra: { '/server.json': () => ({ peer: server.peer, addresses: server.addresses }) },
  })
  writeFileSync(portFile, String(web.port))
  for (const address of server.addresses) say(`  server  ${address}`)
  say(`\n  ${bold(`Open ${web.url}`)}   (in two windows, to chat; Ctrl-C stops)\n`)

  let stopping = false
  const stop = async (code) => {
    if (stopping) return
    stopping = true
    server.child.kill('SIGTERM')
    await web.close()
    process.exit(code)
  }
  process.on('SIGINT', () => stop(0))
  process.on('SIGTERM', () => stop(0))
  server.child.on('close', (code) => {
    if (!stopping) say('the server ended')
    stop(code ?? 1)
  })
})
