import type { Finding } from './finding.ts'
import type { Tree } from './tree.ts'

/** Maven, else Gradle. Both look for a home in the user database, where the user of steps has none: so it is named. */
export function detectJava(tree: Tree): Finding | undefined {
  if (tree.has('pom.xml')) {
    const wrapper = tree.has('mvnw')
    const command = `${wrapper ? './mvnw' : 'mvn'} -B -ntp -Dmaven.repo.local="$HOME/.m2/repository" verify`
    const why = wrapper ? 'pom.xml, with the Maven wrapper' : 'pom.xml'
    return { kind: 'java', why, steps: [{ id: 'verify', why: 'compiles, tests and packs', commands: [command] }], notes: [] }
  }
  const script = ['build.gradle', 'build.gradle.kts'].find((file) => tree.has(file))
  if (script === undefined) return undefined
  const wrapper = tree.has('gradlew')
  const command = `${wrapper ? './gradlew' : 'gradle'} --no-daemon -g "$HOME/.gradle" build`
  return {
    kind: 'java',
    why: wrapper ? `${script}, with the Gradle wrapper` : `${script}, without a wrapper`,
    steps: [{ id: 'build', why: 'compiles, tests and packs', commands: [command] }],
    notes: wrapper ? [] : ['gradle must be on the PATH of the runner'],
  }
}
