package pin_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/pin"
)

func TestScan_Kustomize(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	const git = "nobody knows where kustomize takes it from: write git::https://…?ref= with a commit, or ./ before a folder of the repository"
	const web = "a web server may answer something else tomorrow: commit the file, or name its git repository: git::https://…?ref= and a commit"
	const asks = "kustomize asks a web server for it before it asks git: write git:: before it, and ?ref= with a commit"
	const file = "kustomize fetches it, and can't be held to what it is now: commit the file"
	scanAll(t, []scanned{
		{"images", "Kustomization", `images:
  - {name: a, newTag: "1"}
  - {name: b, newName: e.com/b, newTag: 1.20}
  - {name: c, newTag: v1, digest: ` + sum + `}
  - {name: d, newName: e.com/d}
  - {name: e, tagSuffix: -x}
  - {name: f}
  - {name: "g.*", newTag: "1"}
imageTags: [{name: h, newTag: "1"}]
`, []string{
			"2 image a:1", "3 image e.com/b:1.20", "4 image c@" + sum, "5 image e.com/d: its tag stands elsewhere: give newTag or digest here",
			"6 image e: its tag stands elsewhere: give newTag or digest here", "8 image g.*:1: it is no image's name: write registry.example.com/team/app:1.2", "9 image h:1",
		}},
		{"git repositories", "o/kustomization.yaml", `resources:
  - github.com/org/repo//deploy?ref=v1
  - https://github.com/org/repo/deploy/x?ref=` + commit + `
  - git::https://e.com/a/b/c.git/deploy?version=v2&timeout=90s
  - git@e.com:org/repo.git//deploy?ref=main
  - ssh://git@e.com/org/repo//deploy
  - gh:org/repo
  - https://dev.azure.com/o/p/_git/r/deploy?ref=v1
  - git::https://ana:hunter2@e.com/a/b?ref=v1
bases: ["git::https://e.com/a/b?ref=v1"]
components: ["HTTPS://GitHub.com/org/repo.git?ref=v1"]
`, []string{
			"10 module git::https://e.com/a/b?ref=v1", "11 module git::https://github.com/org/repo.git?ref=v1",
			"2 module git::https://github.com/org/repo.git//deploy?ref=v1", "3 module git::https://github.com/org/repo.git//deploy/x?ref=" + commit,
			"4 module git::https://e.com/a/b/c.git//deploy?ref=v2", "5 module git::git@e.com:org/repo.git//deploy?ref=main", "6 module git::ssh://git@e.com/org/repo//deploy",
			"7 module git::https://github.com/org/repo.git", "8 module git::https://dev.azure.com/o/p/_git/r//deploy?ref=v1",
			"9 module git::https://e.com/a/b?ref=v1: its address carries a user or a password: leave them to git's and docker's own configuration",
		}},
		{"what can't be held", "kustomization.yml", `resources:
  - https://e.com/a/b?ref=` + commit + `
  - https://raw.githubusercontent.com/org/repo/main/x.yaml
  - https://github.com/org/repo/raw/main/x?ref=` + commit + `
  - http://github.com/org/repo?ref=v1
  - oci://e.com/a/b
  - file:///srv/x
  - e.com/a/b?ref=v1
  - https://e.com
  - git::https://e.com/a/b?token=hunter2
generators: ["https://e.com/g.yaml"]
crds: [./local.git/x, ../x, deploy.yaml, v1.2/base]
patches: [{path: "https://e.com/p.yaml"}, {path: p.yaml}]
openapi: {path: "https://e.com/o.json"}
configMapGenerator: [{files: ["k=https://e.com/f", "f"], envs: [e], env: "https://e.com/v"}]
`, []string{
			"10 module git::https://e.com/a/b?token=(hidden): kustomize knows something else behind the ?: write ?ref= and a tag or a commit",
			"11 module https://e.com/g.yaml: " + web, "13 module https://e.com/p.yaml: " + file, "14 module https://e.com/o.json: " + file,
			"15 module https://e.com/f: " + file, "15 module https://e.com/v: " + file,
			"2 module https://e.com/a/b?ref=" + commit + ": " + asks, "3 module https://raw.githubusercontent.com/org/repo/main/x.yaml: " + web,
			"4 module https://github.com/org/repo/raw/main/x?ref=" + commit + ": " + web, "5 module http://github.com/org/repo?ref=v1: " + asks,
			"6 module git::oci://e.com/a/b: its address begins with none of https://, http://, ssh://, file://", "7 module file:///srv/x: it is a path of one machine: commit the folder",
			"8 module e.com/a/b?ref=v1: " + git, "9 module https://e.com: it names no repository",
		}},
		{"charts", "kustomization.yaml", `helmCharts:
  - {name: a, repo: "https://e.com/c", version: 1.2.3, valuesFile: "https://e.com/v.yaml"}
  - {name: b, repo: "oci://e.com/c", version: v1.2.3}
  - {name: c, repo: "https://e.com/c", version: 1.2}
  - {name: d, repo: "https://e.com/c"}
  - {name: e, version: ^1}
helmChartInflationGenerator: [{chartName: f, chartRepoUrl: "https://e.com/c", chartVersion: ^1}]
`, []string{
			"2 chart https://e.com/c/a 1.2.3", "2 module https://e.com/v.yaml: " + file, "3 chart oci://e.com/c/b v1.2.3",
			"4 chart https://e.com/c/c 1.2: kustomize takes the newest of these versions: name one, such as 1.2.3", "5 chart https://e.com/c/d: it has no version",
			"7 chart https://e.com/c/f ^1: kustomize takes the newest of these versions: name one, such as 1.2.3",
		}},
		{"what stands in a text", "kustomization.yaml", `generators:
  - |
    apiVersion: builtin
    kind: HelmChartInflationGenerator
    name: a
    repo: https://e.com/c
    version: 1.2.3
transformers: ["{apiVersion: builtin, kind: ImageTagTransformer, imageTag: {name: b, newTag: '1'}}"]
patches:
  - patch: |
      - {op: replace, path: /spec/containers/0/image, value: c:1}
  - patch: |
      apiVersion: v1
      kind: Pod
      spec: {containers: [{image: d:1}]}
  - target: {kind: Deployment}
    patch: |-
      spec: {containers: [{image: e:1}]}
patchesStrategicMerge:
  - |
    a: [
    b
`, []string{"10 image c:1", "12 image d:1", "17 image e:1", "2 chart https://e.com/c/a 1.2.3", "20: it is YAML that can't be read, and may name images", "8 image b:1"}},
		{"braces among templates", "templates/kustomization.yaml", "namePrefix: '{{ x }}'\nimages: [{name: a, newTag: '1'}]\n", []string{"2 image a:1"}},
		{"what grows in texts", "kustomization.yaml", "x: &x |\n" + strings.Repeat("  a: 1\n", 200) + "generators: [" + strings.TrimSuffix(strings.Repeat("*x, ", 1000), ", ") + "]\n",
			[]string{"0: it is YAML that can't be read, and may name images"}},
	})
	for ref, want := range map[string]bool{commit: true, "v1": false} {
		found := pin.Scan("kustomization.yaml", []byte("resources: [github.com/org/repo//deploy?ref="+ref+"]"))
		if _, itself := found[0].Pinned(); itself != want {
			t.Errorf("%s is pinned: %t", ref, itself)
		}
	}
}
