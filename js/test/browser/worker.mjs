import { actions } from './client.mjs'

globalThis.onmessage = async ({ data: { call, name, args } }) => {
  try {
    postMessage({ call, result: await actions[name](...args) })
  } catch (error) {
    postMessage({ call, error: error.stack ?? String(error) })
  }
}
