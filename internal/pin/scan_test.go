package pin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/pin"
)

const sum = "sha256:abababababababababababababababababababababababababababababababab"

// lines are what was found, as "line kind reference" and why it is unknown.
func lines(found []pin.Found) []string {
	out := []string{}
	for _, f := range found {
		s := strings.TrimSpace(fmt.Sprintf("%d %s %s", f.Line, f.Reference.Kind, f.Reference))
		if f.Unknown != "" {
			s += ": " + f.Unknown
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		what, file, src string
		want            []string
	}{
		{"stages, arguments and copies", "api/Dockerfile", `# syntax=docker/dockerfile:1
ARG GO=1.25 DISTRO="bookworm"
FROM --platform=$BUILDPLATFORM golang:${GO}-$DISTRO AS build
COPY --from=alpine:3.20 --chown=1 /etc/ssl /etc/ssl
COPY --from=build /a /b
COPY --from=0 /a /b
RUN <<EOF
FROM never:1
EOF
from Build as again
FROM scratch
FROM gcr.io/distroless/static@` + sum + `
`, []string{"1 image docker/dockerfile:1", "12 image gcr.io/distroless/static@" + sum, "3 image golang:1.25-bookworm", "4 image alpine:3.20"}},
		{"continued lines and comments between them", "Containerfile", "FROM \\\n  # why\n  redis:7 \\\n  AS cache\nRUN echo \\\nFROM never:1\n", []string{"1 image redis:7"}},
		{"another escape", "Dockerfile.windows", "# escape=`\nFROM a/b:1 AS c:\\\nFROM d`\n/e\n", []string{"2 image a/b:1", "3 image d/e"}},
		{"an argument without a value", "x.dockerfile", "ARG V\nFROM a:$V\nFROM b:${W:-2}\nFROM c:${W:+2}\n",
			[]string{"2 image a:$V: the build argument V has no value in the file", "3 image b:2", "4 image c:${W:+2}: the build argument W has no value in the file"}},
		{"resources of Kubernetes", "deploy/all.yaml", `apiVersion: v1
kind: List
items:
  - apiVersion: apps/v1
    kind: Deployment
    spec:
      template:
        spec:
          initContainers: [{name: i, image: "init:1"}]
          containers:
            - name: a
              image: &img ghcr.io/a/b:2
            - {name: b, image: *img}
          volumes: [{name: v, image: {reference: "models:3"}}]
---
apiVersion: v1
kind: ConfigMap
data:
  image: not-one:1
  more: |
    containers: [{image: not-one:1}]
---
image: not-one:1
`, []string{"12 image ghcr.io/a/b:2", "13 image ghcr.io/a/b:2", "14 image models:3", "9 image init:1"}},
		{"a workflow's template", "wf.yml", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {containers: [{image: '{{inputs.image}}'}]}\n",
			[]string{"3 image {{inputs.image}}: it is made by a template"}},
		{"a chart's template", "chart/templates/d.yaml", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: {{ .Values.image }}}]}\n", []string{}},
		{"what a chart's template does not make", "templates/d.yml",
			`{{/* two
lines */}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-x
spec:
  containers:
    {{- if .Values.a }}
    - image: a:1
    {{- end }}
    - image: {{ .Values.b }}
    - image: "b:{{ .Values.c }}"
      env: {{- toYaml .Values.env | nindent 8 }}
`, []string{"10 image a:1"}},
		{"compose", "docker-compose.dev.yml", "x: &d {image: 'db:1'}\nservices:\n  a: {image: 'a:1'}\n  b: {build: ., image: 'b:1'}\n  c:\n    <<: *d\n  d: {image: 'd:${TAG:-4}'}\n  e: {image: 'e:${TAG}'}\n",
			[]string{"1 image db:1", "3 image a:1", "7 image d:4", "8 image e:${TAG}: the variable TAG has no value in the file"}},
		{"a chart's dependencies", "chart/Chart.yaml", `apiVersion: v2
name: shop
version: 1.0.0
dependencies:
  - {name: redis, version: ^19, repository: "https://charts.example.com/"}
  - {name: db, version: 1.2.3, repository: "oci://ghcr.io/charts"}
  - {name: lib, version: 1.0.0, repository: "file://../lib"}
  - {name: own, version: 1.0.0}
  - {name: far, version: 1.0.0, repository: "@stable"}
  - {name: bad, version: one, repository: "https://charts.example.com"}
  - {name: secret, version: 1.0.0, repository: "https://ana:hunter2@charts.example.com"}
`, []string{
			"10 chart https://charts.example.com/bad one: \"one\" is no range of versions",
			"11 chart https://charts.example.com/secret 1.0.0: its address carries a user or a password: leave them to git's and docker's own configuration",
			"5 chart https://charts.example.com/redis ^19", "6 chart oci://ghcr.io/charts/db 1.2.3",
			"9 chart @stable/far 1.0.0: its repository is a name of helm's on one machine: write its address",
		}},
		{"a last line that goes on", "Dockerfile", "FROM a:1\nFROM b:1 \\\n", []string{"1 image a:1", "2 image b:1"}},
		{"what only looks like a here-document", "Dockerfile", "RUN a <<<word\nFROM a:1\nRUN echo \"usage: cat <<EOF\" > /u\nFROM b:1\nRUN [\"sh\", \"-c\", \"cat <<EOF\"]\nFROM c:1\n" +
			"RUN <<-'X' cat && cat << Y\nFROM no:1\n\tX\nFROM no:1\nY\nFROM d:1\nRUN cat <<EOF\nFROM e:1\nEOF\n", []string{"12 image d:1", "2 image a:1", "4 image b:1", "6 image c:1"}},
		{"a here-document without an end", "Dockerfile", "# syntax=a:1\nFROM b:1\nRUN <<EOF\nFROM c:1\n", []string{"1 image a:1", "3: docker can't read it, and it may name images"}},
		{"a line that docker does not take", "Dockerfile", "FROM a:1\n\nENV a\n", []string{"3: docker can't read it, and it may name images"}},
		{"nothing but comments", "Dockerfile", "# to come\n\n", []string{}},
		{"many continued lines", "Dockerfile", strings.Repeat("FROM \\\n", 100_000) + "a:1", []string{"1 image FROM: it is no image's name: write registry.example.com/team/app:1.2"}},
		{"values that grow", "Dockerfile", strings.Repeat("ARG A=x$A$A\n", 40) + "FROM $A", []string{"41 image $A: the build argument A has no value in the file"}},
		{"values that grow from one", "Dockerfile", "ARG A=x\n" + strings.Repeat("ARG A=$A$A\n", 40) + "FROM $A", []string{"42 image $A: the build argument A has no value in the file"}},
		{"YAML that is none", "x.yaml", "a: [", []string{"0: it is YAML that can't be read, and may name images"}},
		{"YAML that would overflow a parser", "x.yaml", strings.Repeat("[", 1<<20), []string{"0: it is YAML that can't be read, and may name images"}},
		{"aliases that grow", "x.yaml", "apiVersion: v1\nkind: Pod\na0: &a0 [x, x, x, x, x, x, x, x, x]\n" + growing(9),
			[]string{"0: it is YAML that can't be read, and may name images"}},
		{"an empty file", "x.yaml", "", []string{}},
		{"Terraform's modules", "net/main.tf", `
module "near" { source = "./modules/a" }
module "vpc" {
  source  = "terraform-aws-modules/vpc/aws//modules/x"
  version = "~> 5.0"
}
module "own" { source = "git::https://git.example.com/net.git//vpc?ref=v1.2.0" }
module "hub" { source = "github.com/acme/net//vpc?ref=v1" }
module "ssh" { source = "git@github.com:acme/net.git?ref=v1" }
module "oci" { source = "oci://ghcr.io/acme/net//vpc?tag=1.2" }
module "var" { source = "git::https://git.example.com/net.git?ref=${var.ref}" }
module "fun" { source = join("/", ["a", "b"]) }
module "any" { source = "acme/net/aws" }
module "zip" { source = "https://example.com/net.zip" }
module "s3"  { source = "s3::https://s3.example.com/net.zip" }
module "key" { source = "git::https://ana:hunter2@git.example.com/net.git?ref=v1" }
module "override" { count = 2 }
locals { source = "not/one/aws" }
`, []string{
			"10 module oci://ghcr.io/acme/net//vpc?tag=1.2",
			"11 module module.var: its source or version is made by an expression: write it out",
			"12 module module.fun: its source or version is made by an expression: write it out",
			"13 module acme/net/aws: a module of a registry needs a version",
			"14 module https://example.com/net.zip: \"https://example.com/net.zip\" is no module from outside that can be locked: write git::https://…?ref=v1.2.0, oci://…?tag=1.2.0, or namespace/name/provider",
			"15 module s3::https://s3.example.com/net.zip: \"s3::https://s3.example.com/net.zip\" is no module from outside that can be locked: write git::https://…?ref=v1.2.0, oci://…?tag=1.2.0, or namespace/name/provider",
			"16 module git::https://git.example.com/net.git?ref=v1: its address carries a user or a password: leave them to git's and docker's own configuration",
			"4 module terraform-aws-modules/vpc/aws//modules/x ~> 5.0", "7 module git::https://git.example.com/net.git//vpc?ref=v1.2.0",
			"8 module git::https://github.com/acme/net.git//vpc?ref=v1", "9 module git::git@github.com:acme/net.git?ref=v1",
		}},
		{"Terraform's JSON", "main.tf.json", `{
  "module": {"vpc": {"source": "a/vpc/aws", "version": "1.0.0"}, "var": {"source": "${var.x}"}},
  "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": "~> 5.0"}}}
}`, []string{"2 module a/vpc/aws 1.0.0", "2 module module.var: its source or version is made by an expression: write it out", "3 provider hashicorp/aws ~> 5.0"}},
		{"Terraform's providers", "main.tf", `
terraform {
  required_providers {
    aws    = { source = "hashicorp/aws", version = "~> 5.0" }
    old    = "~> 2.0"
    any    = { source = "acme/any" }
    own    = { source = "registry.example.com/acme/own", version = "1.2.3" }
    odd    = { source = "acme/odd", version = "one" }
    bad    = { source = "a b" }
    fun    = { source = "acme/${var.x}" }
    half   = var.half
    self   = { source = "terraform.io/builtin/terraform" }
  }
}
resource "aws_vpc" "v" {}
resource "google_project" "p" {}
data "google_project" "q" {}
data "terraform_remote_state" "s" {}
provider "azurerm" {}
`, []string{
			"10 provider hashicorp/fun >= 0.0.0: its source is made by an expression: write it out",
			"11 provider hashicorp/half >= 0.0.0: what is required of it is made by an expression: write it out",
			"16 provider hashicorp/google: nothing says which version of the provider is used: name it under required_providers, or commit .terraform.lock.hcl",
			"19 provider hashicorp/azurerm: nothing says which version of the provider is used: name it under required_providers, or commit .terraform.lock.hcl",
			"4 provider hashicorp/aws ~> 5.0", "5 provider hashicorp/old ~> 2.0", "6 provider acme/any >= 0.0.0", "7 provider registry.example.com/acme/own 1.2.3",
			"8 provider acme/odd one: \"one\" is no range of versions", "9 provider a b >= 0.0.0: \"a b\" is no provider: write namespace/name",
		}},
		{"Terraform's lock file", ".terraform.lock.hcl", `
provider "registry.terraform.io/hashicorp/aws" {
  version = "5.1.0"
  hashes  = ["h1:abc="]
}
provider "registry.terraform.io/hashicorp/google" { version = "4.0.0" }
provider "odd" {
  version = "5"
  hashes  = ["h1:abc="]
}
`, []string{
			"2 provider registry.terraform.io/hashicorp/aws 5.1.0",
			"6 provider registry.terraform.io/hashicorp/google 4.0.0: it has no hashes: anything may be of that version; terraform providers lock writes them",
			"7 provider odd 5: it is no provider with an exact version",
		}},
		{"HCL that is none", "x.tf", "module {", []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"HCL that would overflow a parser", "x.tf", "a = " + strings.Repeat("(", 1<<19), []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"signs that would", "x.tf", "a = " + strings.Repeat("!", 1<<19) + "b", []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"conditions that would", "x.tf", "a = " + strings.Repeat("b ? c(d, e) : ", 1<<15) + "b", []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"templates that would", "x.tf", "a = \"" + strings.Repeat("%{if b}", 1<<16) + "\"", []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"JSON that would", "x.tf.json", strings.Repeat("[", 1<<20), []string{"0: it is HCL that can't be read, and may name modules and providers"}},
		{"conditions one after the other", "x.tf", strings.Repeat("a = b ? c : d\n", 1) + "l = [\n" + strings.Repeat("  b ? c : d,\n", 500) + "]\nm = {\n" + strings.Repeat("  k = b ? c : d\n", 500) + "}\n", []string{}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if !pin.Wanted(c.file) {
				t.Fatal("the file is not wanted")
			}
			found := pin.Scan(c.file, []byte(c.src))
			if diff := cmp.Diff(c.want, lines(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, f := range found {
				if f.File != c.file {
					t.Errorf("%q", f.File)
				}
			}
		})
	}
	for _, name := range []string{"main.go", "Dockerfile.dockerignore", "values.jsonc", "my-Dockerfile"} {
		if pin.Wanted(name) {
			t.Errorf("%s is wanted", name)
		}
	}
	if found := pin.Scan("a/Dockerfile", nil); len(found) != 1 || found[0].Place() != "a/Dockerfile" || found[0].Unknown == "" {
		t.Errorf("a file that is too large: %v", found)
	}
}

// growing are lists of nine of the one before.
func growing(levels int) string {
	var b strings.Builder
	for i := 1; i <= levels; i++ {
		before := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(before+", ", 9), ", "))
	}
	return b.String()
}

func TestFound_Pinned(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	for text, want := range map[string]bool{"redis@" + sum: true, "redis:7@" + sum: true, "redis:7": false, "redis": false} {
		ref, err := pin.Image(text)
		if e, ok := (pin.Found{Reference: ref}).Pinned(); err != nil || ok != want || ok && string(e.Digest) != sum {
			t.Errorf("%s: %v %v", text, e, err)
		}
	}
	for ref, want := range map[string]bool{commit: true, commit[:12]: false, "v1.0.0": false} {
		x, err := pin.Module("git::https://git.example.com/net.git?ref="+ref, "")
		if e, ok := (pin.Found{Reference: x}).Pinned(); err != nil || ok != want || ok && e.Commit != commit {
			t.Errorf("%s: %v %v", ref, e, err)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add("Dockerfile", "ARG A=1\nFROM a:$A AS b\nCOPY --from=b x y")
	f.Add("x.yaml", "apiVersion: v1\nkind: Pod\nspec: &a {containers: [{image: a}], b: *a}")
	f.Add("compose.yaml", "services: {a: {<<: {image: 'a:${B-c}'}}}")
	f.Add("Chart.yaml", "dependencies: [{name: a, version: '1', repository: 'oci://b'}]")
	f.Add("Dockerfile", "ARG A\nFROM a AS b\nENV C $A\nFROM b\nADD --checksum=$C [\"https://d\", \"e\"]\nADD f@g:h#i:j https://k/l.git?tag=m n")
	f.Add("Dockerfile", "# syntax=a\nONBUILD RUN --mount=type=bind,from=b c <<D\nD\nFROM e \\\n AS f")
	f.Add("kustomization.yaml", "images: [{name: a, newTag: 1}]\nresources: [github.com/a/b//c?ref=d, \"{apiVersion: a, kind: b}\"]\nhelmCharts: [{name: a, repo: 'https://b', version: 1.2.3}]")
	f.Add("x.json", `{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "a"}]}} [{"op": "add", "path": "/containers/0/image", "value": "b"}]`)
	f.Add("x.yaml", "a: &a {b: c}\nd: {<<: [*a, *a], *a : e}")
	f.Add("main.tf", "module \"a\" {\n  source = \"git::https://b/c?ref=${d}\"\n}\nterraform {\n  required_providers {\n    a = { source = \"b/c\" }\n  }\n}\n")
	f.Add("main.tf.json", `{"module": {"a": [{"source": "b/c/d", "version": "1"}]}, "terraform": [{"required_providers": {"a": "1"}}]}`)
	f.Add(".terraform.lock.hcl", "provider \"a/b/c\" {\n  version = \"1.0.0\"\n  hashes = [\"h1:\"]\n}\n")
	f.Fuzz(func(t *testing.T, name, src string) {
		for _, x := range pin.Scan(name, []byte(src)) {
			if x.File != name || x.Unknown == "" && x.Reference.Source == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
