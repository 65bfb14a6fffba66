// npm start [-- --port PORT] [--no-build]: sets up, builds, runs the server and
// serves the demo page. Both are reached from this machine only. Ctrl-C stops all.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { startServer } from './demo-server.mjs'
import { bold, built, entry, Failure, heading, red, root, say, targetFolder } from './lib.mjs'
import { setup } from './setup.mjs'
import { serveFolder } from './static-server.mjs'

// The server's key and the page's port are kept, so that open pages find both again.
const state = join(targetFolder, 'demo')
const portFile = join(state, 'port')
const page = join(root, 'www/dist')

function options() {
  try {
    const { values } = parseArgs({ options: { port: { type: 'string' }, 'no-build': { type: 'boolean' } } })
    if (values.port !== undefined && !(/^\d+$/.test(values.port) && Number(values.port) < 65536))
      throw new Error(`not a port: ${values.port}`)
    return { port: values.port && Number(values.port), noBuild: values['no-build'] }
  } catch (error) {
    throw new Failure(`${error.message}\n  Usage: npm start [-- --port PORT] [--no-build]`)
  }
}

/** Serves the page at the port that was asked for, else at the one of the last time if it is free. */
async function servePage(port, server) {
  // Where the page learns whom to connect to.
  const extra = { '/server.json': () => ({ peer: server.peer, addresses: server.addresses }) }
  const last = existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) || 0 : 0
  const web = await serveFolder(page, { port: port ?? last, extra, strict: port !== undefined })
  if (port === undefined) writeFileSync(portFile, String(web.port))
  return web
}

await entry(async () => {
  const { port, noBuild } = options()
  if (!noBuild) {
    await setup()
    await build()
  }
  for (const file of [built('polypeer'), join(page, 'index.html')])
    if (!existsSync(file)) throw new Failure(`${file} was not built: run \`npm start\` without --no-build`)

  heading('Start')
  mkdirSync(state, { recursive: true })
  const server = await startServer(join(state, 'key'), ({ event, peer }) => {
    if (event === 'connected') say(`  + ${peer}`)
    else if (event === 'disconnected') say(`  - ${peer}`)
  })
  const web = await servePage(port, server).catch(async (error) => {
    await server.stop()
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error
    throw new Failure(`port ${port} cannot be had (${error.code}): choose another with --port`)
  })

  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    await Promise.all([server.stop(), web.close()])
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  server.ended.then(async (end) => {
    if (stopping) return
    stopping = true
    await web.close()
    say(`\n${red('✗')} The server ended by itself, with ${end}: what it printed above may say why.`)
    say('  Start it again with: npm start. Open pages then connect again.')
    process.exit(1)
  })

  for (const address of server.addresses) say(`  server  ${address}`)
  say('')
  process.stdout.write(`  ${bold(`Open ${web.url}`)}   (in two windows, to chat; Ctrl-C stops)\n`)
  say('')
})
