import { createHmac, randomUUID } from 'node:crypto'

export interface PushHook {
  url: string
  secret: string
  branch?: string
  sha: string
  message: string
  deliveryId?: string
}

/** Posts a push as GitHub does, signed. */
export async function postPush(hook: PushHook): Promise<{ status: number; body: unknown }> {
  const body = JSON.stringify({
    ref: `refs/heads/${hook.branch ?? 'main'}`,
    after: hook.sha,
    deleted: false,
    head_commit: { id: hook.sha, message: hook.message },
    sender: { id: 7, login: 'ana' },
  })
  const response = await fetch(hook.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': hook.deliveryId ?? randomUUID(),
      'x-hub-signature-256': `sha256=${createHmac('sha256', hook.secret).update(body).digest('hex')}`,
    },
    body,
  })
  return { status: response.status, body: await response.json() }
}
