/** A repository with one commit on a real Git server. For tests. */
import { startGitServer } from './git-server.ts'

export interface SmallRepository {
  url: string
  sha: string
  stop(): Promise<void>
}

/** With an empty pipeline, and these files beside it. */
export async function startSmallRepository(files: Record<string, string> = {}): Promise<SmallRepository> {
  const git = await startGitServer()
  try {
    const { url, commit } = await git.createRepository('shop')
    const sha = await commit({ files: { '.belay.yml': 'steps: {}\n', ...files }, message: 'first' })
    return { url, sha, stop: () => git.stop() }
  } catch (error) {
    await git.stop()
    throw error
  }
}
