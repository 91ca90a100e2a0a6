/** Reads `text/event-stream` (WHATWG HTML, section 9.2) out of bytes. */

export interface StreamEvent {
  /** Absent if the stream gave none so far. */
  id?: string
  event: string
  data: string
}

/** The events of a stream's body, as they come; comments and fields we do not use are skipped. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  let id: string | undefined
  let event = 'message'
  let data: string[] = []
  for await (const line of linesOf(body)) {
    if (line === '') {
      if (data.length > 0) yield { ...(id === undefined ? {} : { id }), event, data: data.join('\n') }
      event = 'message'
      data = []
      continue
    }
    const [field, value] = fieldOf(line)
    if (field === 'id') id = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line
  }
}

function fieldOf(line: string): [field: string, value: string] {
  const colon = line.indexOf(':')
  if (colon === -1) return [line, '']
  const value = line.slice(colon + 1)
  return [line.slice(0, colon), value.startsWith(' ') ? value.slice(1) : value]
}
