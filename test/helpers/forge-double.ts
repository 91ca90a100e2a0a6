/** The far side of commit statuses: a real HTTP server that writes down what it is told, with faults on demand. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export interface ToldStatus {
  path: string
  authorization: string
  state: string
  context: string
  description: string
  target_url: string
}

export type ForgeFault = 'reset' | 'hang' | { status: number; headers?: Record<string, string> }

export interface ForgeDouble {
  url: string
  /** What it took, in order. */
  taken: ToldStatus[]
  /** How often it was asked, faults among them. */
  asked: number
  /** One for each request, from the first; what is left over is answered well. */
  faults: ForgeFault[]
  stop(): Promise<void>
}

export async function startForgeDouble(): Promise<ForgeDouble> {
  const double: ForgeDouble = { url: '', taken: [], asked: 0, faults: [], stop }
  const server = createServer((request, response) => {
    void answer(double, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  double.url = `http://127.0.0.1:${String(address.port)}`
  return double

  async function stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
}

async function answer(double: ForgeDouble, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array))
  double.asked += 1
  const fault = double.faults.shift()
  if (fault === 'reset') request.socket.resetAndDestroy()
  else if (fault === 'hang') return
  else if (fault !== undefined) response.writeHead(fault.status, fault.headers).end('a fault')
  else {
    const told = JSON.parse(Buffer.concat(chunks).toString()) as Omit<ToldStatus, 'path' | 'authorization'>
    double.taken.push({ path: request.url ?? '', authorization: request.headers.authorization ?? '', ...told })
    response.writeHead(201).end('{}')
  }
}
