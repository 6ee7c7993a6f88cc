package pin_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/pin"
)

// scanned is a file, and what is found in it.
type scanned struct {
	what, file, src string
	want            []string
}

func scanAll(t *testing.T, cases []scanned) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			if !pin.Wanted(c.file) {
				t.Fatal("the file is not wanted")
			}
			if diff := cmp.Diff(c.want, lines(pin.Scan(c.file, []byte(c.src)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const pod = "apiVersion: v1\nkind: Pod\n"

// TestScan_Aliases reads what stands somewhere else in the file than where it
// counts.
func TestScan_Aliases(t *testing.T) {
	scanAll(t, []scanned{
		{"an anchor below a field that nobody reads", "compose.yaml", "x-images:\n  redis: &redis redis:latest\nservices: {cache: {image: *redis}}\n", []string{"3 image redis:latest"}},
		{"several maps that are merged, of which the first counts", "compose.yaml", "x: [&a {build: null}, &b {image: 'b:1'}, &c {image: 'c:1'}]\nservices:\n  s: {<<: [*a, *b, *c]}\n", []string{"1 image b:1"}},
		{"a merged map that merges", "compose.yaml", "x: [&a {image: 'a:1'}, &b {<<: *a}]\nservices: {s: {<<: *b}}\n", []string{"1 image a:1"}},
		{"the last anchor of a name before it", "x.yaml", pod + "a: &i one:1\nb: &i two:1\nspec: {containers: [{image: *i}]}\nc: &i three:1\n", []string{"5 image two:1"}},
		{"keys of all forms", "x.yaml", pod + "k: &k image\nspec:\n  ? containers\n  : - {\"im\\u0061ge\": a:1}\n    - {*k : b:1}\n    - {&l image: c:1}\n    - {!!str image: d:1}\n",
			[]string{"6 image a:1", "7 image b:1", "8 image c:1", "9 image d:1"}},
		{"an alias without an anchor", "x.yaml", pod + "spec: {containers: [{image: *i}]}\n", []string{"0: line 3 has the alias *i, and no anchor &i stands before it: nobody knows what it names"}},
		{"one whose anchor follows", "x.yaml", pod + "spec: {containers: [{image: *i}]}\nx: &i a:1\n", []string{"0: line 3 has the alias *i, and no anchor &i stands before it: nobody knows what it names"}},
		{"one whose anchor is of another document", "x.yaml", "a: &i a:1\n---\n" + pod + "spec: {containers: [{image: b:1}, {image: *i}]}\n",
			[]string{"0: line 5 has the alias *i, and no anchor &i stands before it: nobody knows what it names"}},
		{"one in what it stands for", "x.yaml", pod + "spec: &i {containers: [*i]}\n", []string{"0: line 3 has the alias *i in what it stands for, which has no end"}},
		{"a merge of no map", "compose.yaml", "services: {a: {<<: b}}\n", []string{"0: it is YAML that can't be read, and may name images"}},
		{"merges that grow", "compose.yaml", "a0: &a0 {" + strings.Repeat("k: 1, ", 9) + "}\n" + growingMerges(9) + "services: {s: {<<: *a9}}\n",
			[]string{"0: it is YAML that can't be read, and may name images"}},
		{"merges of merges without end", "compose.yaml", merging(300) + "services: {s: {<<: *m300}}\n", []string{"0: it is YAML that can't be read, and may name images"}},
		{"a mark of byte order", "compose.yml", "\ufeffservices: {a: {image: a:1}}\n", []string{"1 image a:1"}},
		{"one in each document", "x.yml", "\ufeff" + pod + "spec: {containers: [{image: a:1}]}\n---\n\ufeff" + pod + "spec: {containers: [{image: b:1}]}\n", []string{"3 image a:1", "7 image b:1"}},
		{"UTF-16", "x.yml", "\xff\xfea\x00:\x00", []string{"0: it is not written in UTF-8, and may name images"}},
	})
}

// growingMerges are maps that each merge the one before nine times.
func growingMerges(levels int) string {
	var b strings.Builder
	for i := 1; i <= levels; i++ {
		before := strings.TrimSuffix(strings.Repeat("*a"+strconv.Itoa(i-1)+", ", 9), ", ")
		b.WriteString("a" + strconv.Itoa(i) + ": &a" + strconv.Itoa(i) + " {<<: [" + before + "]}\n")
	}
	return b.String()
}

// merging are maps that each merge the one before.
func merging(levels int) string {
	var b strings.Builder
	b.WriteString("m0: &m0 {image: 'a:1'}\n")
	for i := 1; i <= levels; i++ {
		b.WriteString(strings.NewReplacer("N", strconv.Itoa(i), "P", strconv.Itoa(i-1)).Replace("mN: &mN {<<: *mP}\n"))
	}
	return b.String()
}

// TestScan_Aliases_Always reads one file again and again: what is found may not
// depend on the order that a map is ranged over in.
func TestScan_Aliases_Always(t *testing.T) {
	src := pod + "metadata:\n  name: &i redis:latest\nspec: {a: 1, b: 2, containers: [{env: [], image: *i}], d: 3, e: 4}\n"
	for range 100 {
		if got := lines(pin.Scan("x.yaml", []byte(src))); len(got) != 1 || got[0] != "5 image redis:latest" {
			t.Fatalf("%q", got)
		}
	}
}

// TestScan_Manifests reads files that are named otherwise than the most, and
// what is several things at once.
func TestScan_Manifests(t *testing.T) {
	const services = "services: {a: {image: a:1}}\n"
	scanAll(t, []scanned{
		{"compose for prod", "docker-compose-prod.yml", services, []string{"1 image a:1"}},
		{"compose for dev", "compose-dev.yaml", services, []string{"1 image a:1"}},
		{"compose, numbered", "docker-compose2.yml", services, []string{"1 image a:1"}},
		{"compose of something", "shop.compose.yaml", services, []string{"1 image a:1"}},
		{"what only begins like compose", "composer.yaml", services, []string{}},
		{"a resource in a file that is named like compose", "compose-job.yaml", pod + "spec: {containers: [{image: b:1}]}\n", []string{"3 image b:1"}},
		{"a volume from an image, and a build that was taken back", "compose.yaml", "services: {a: {build: ., volumes: [{type: image, source: v:1}]}, b: {build: !reset null, image: b:1}}\n", []string{"1 image b:1", "1 image v:1"}},
		{"a resource in JSON", "deploy.json", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"spec\": {\"containers\": [{\"name\":\"a\",\n\t\t\"image\":\"a:1\"}]}\n}\n", []string{"5 image a:1"}},
		{"several in one file", "all.json", `{"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"image": "a:1"}]}}` + "\n" + `{"x": {"apiVersion": 1, "kind": 2}}` + "\n" +
			`{"spec": {"initContainers": [{"image": "b:1"}]}, "api\u0056ersion": "v1", "kind": "Pod"}`, []string{"1 image a:1", "3 image b:1"}},
		{"YAML that is called JSON", "x.json", "# why\n" + pod + "spec: {containers: [{image: a:1}]}\n", []string{"4 image a:1"}},
		{"JSON with comments", "tsconfig.json", "// why\n{\"a\": [1,]}\n", []string{}},
		{"JSON that is none, and may be a resource", "x.json", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", ", []string{"0: it is YAML that can't be read, and may name images"}},
		{"a resource that is too large", "x.json", `{"apiVersion": "v1", "kind": "Pod", "x": "` + strings.Repeat("x", pin.MaxFile) + `"}`, []string{"0: a resource in it has more than 1048576 bytes, and may name images"}},
		{"data that is large", "x.json", `{"x": "` + strings.Repeat("x", pin.MaxFile) + `"}`, []string{}},
		{"JSON that would overflow a parser", "x.json", `{"apiVersion": "v1", "kind": ` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", []string{"0: it is JSON that can't be read, and may name images"}},
		{"a patch", "patch.yaml", "- {op: replace, path: /spec/template/spec/containers/0/image, value: a:1}\n- {op: add, path: /spec/containers/-, value: {image: b:1}}\n" +
			"- {op: add, path: /spec/initContainers, value: [{image: c:1}]}\n- {op: test, path: /spec/containers/0/image, value: no:1}\n- {op: add, path: /spec/image, value: no:1}\n",
			[]string{"1 image a:1", "2 image b:1", "3 image c:1"}},
		{"a patch of much", "patch.yaml", "- {op: replace, path: '', value: {spec: {containers: [{image: a:1}]}}}\n- {op: replace, path: /spec, value: {template: {spec: {containers: [{image: b:1}]}}}}\n" +
			"- {op: replace, path: /spec/template/spec/volumes/0/image/reference, value: c:1}\n- {op: replace, path: /spec/other/0/image/reference, value: no:1}\n- {op: replace, path: /image, value: no:1}\n",
			[]string{"1 image a:1", "2 image b:1", "3 image c:1"}},
		{"a part of a resource", "patch.yaml", "kind: Deployment\nmetadata: {name: a}\nspec: {containers: [{image: a:1}]}\n---\nkind: other\nspec: {containers: [{image: no:1}]}\n", []string{"3 image a:1"}},
		{"a part of a resource in JSON", "patch.json", `{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"image": "a:1"}]}}`, []string{"1 image a:1"}},
		{"a patch in JSON", "patch.json", `[{"op": "replace", "path": "/spec/containers/0/image", "value": "a:1"}]`, []string{"1 image a:1"}},
	})
	if got := pin.Limit("a/package-lock.json"); got <= pin.MaxFile {
		t.Errorf("JSON is read up to %d bytes", got)
	}
	for _, name := range []string{"a.yaml", "a.tf.json", "Dockerfile"} {
		if got := pin.Limit(name); got != pin.MaxFile {
			t.Errorf("%s is read up to %d bytes", name, got)
		}
	}
}

// TestScan_Dockerfile reads what takes images otherwise than by FROM.
func TestScan_Dockerfile(t *testing.T) {
	scanAll(t, []scanned{
		{"mounts", "Dockerfile", "FROM a:1 AS build\nRUN --mount=from=b:1 ls\nRUN --network=none --mount=type=cache,target=/c --mount=type=bind,FROM=c:1,target=/x --mount=from=build ls\n" +
			"RUN --mount=\"type=bind,from=d:1\" ls\nRUN --mount type=bind,\\\nfrom=e:1 ls --mount=from=no:1\nRUN ls --mount=from=no:1\nRUN --mount=from=$f ls\nRUN --mount='a\"b' ls\n", []string{
			"1 image a:1", "2 image b:1", "3 image c:1", "4 image d:1", "5 image: the mount can't be read, and may be from an image", "8 image $f: it is no image's name: write registry.example.com/team/app:1.2",
			"9 image a\"b: the mount can't be read, and may be from an image",
		}},
		{"what is kept for later", "Dockerfile", "FROM a:1\nONBUILD COPY --link --from=b:1 x y\nonbuild run --mount=from=c:1 ls\n", []string{"1 image a:1", "2 image b:1", "3 image c:1"}},
		{"who reads the file", "Dockerfile", "\ufeff# check=skip=all\n# SYNTAX = docker.io/docker/dockerfile:1 more\r\nFROM a:1\n", []string{"2 image docker.io/docker/dockerfile:1", "3 image a:1"}},
		{"a comment that only looks so", "Dockerfile", "# why\n# syntax=no:1\nFROM a:1\n", []string{"3 image a:1"}},
		{"another frontend", "x.dockerfile", "#!/x\n// syntax=b:1\n", []string{"2 image b:1"}},
		{"another frontend's JSON", "x.dockerfile", "{\n\"syntax\": \"b:1\"}\n", []string{"1 image b:1"}},
		{"an escape that does not count", "Dockerfile", "# why=1\n# escape=`\nFROM a:1 `\nFROM b:1\n", []string{"3 image a:1", "4 image b:1"}},
		{"an escape that is escaped", "Dockerfile", "RUN a \\\\\nFROM b:1\n", []string{"2 image b:1"}},
		{"an end of a here-document that is none", "Dockerfile", "RUN <<A\n A\nRUN <<B\nA\nFROM b:1\n", []string{"5 image b:1"}},
	})
}
