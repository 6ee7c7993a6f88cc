package pin

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// manifests finds the references of a file's YAML documents: of those before one
// that can't be read too. Each is a resource, or a part of one, in a patch.
func manifests(base string, src []byte) ([]Found, error) { return documents(base, src, false) }

func patches(src []byte) ([]Found, error) { return documents("", src, true) }

func documents(base string, src []byte, patch bool) (out []Found, err error) {
	defer func() { // the parser is somebody else's, and its input is untrusted
		if p := recover(); p != nil {
			out, err = nil, errYAML
		}
	}()
	file, err := parseYAML(src)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Docs {
		r, err := newDocument(d.Body)
		if err != nil {
			return out, err
		}
		r.patch = patch
		r.read(base, d.Body)
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, r.found...)
	}
	return out, nil
}

// read finds what a document names. One file may be several things at once: what
// its name says, and a resource.
func (r *document) read(base string, body ast.Node) {
	top := r.fields(body)
	kind := r.text(top.at["kind"])
	switch {
	case base == "Chart.yaml":
		r.chart(top)
	case composeName.MatchString(base):
		r.compose(top)
	case kustomizationName.MatchString(base):
		r.kustomization(top)
	}
	whole := kind != "" && (r.text(top.at["apiVersion"]) != "" || r.has(top.at["metadata"])) // a patch may do without the former
	if whole || r.patch && len(top.order) > 0 {
		r.plugin(kind, top)
		r.kubernetes("", body, 0)
	}
	r.operations(body)
}

// kubernetes finds the images of containers and of volumes, wherever a resource
// has them. The key is the field that the node is the value of; [] says that it
// is an item of that.
func (r *document) kubernetes(key string, n ast.Node, depth int) {
	if r.spent(depth) {
		return
	}
	all := r.fields(n)
	for _, k := range all.order {
		r.field(key, k, all.at[k], depth+1)
	}
	for _, item := range r.items(n) {
		r.kubernetes(key+"[]", item, depth+1)
	}
}

// containerLists are the fields that have containers.
var containerLists = []string{"containers[]", "initContainers[]", "ephemeralContainers[]"}

const imageVolume = "volumes[].image"

// field reads one field of what lies under a key.
func (r *document) field(key, name string, value ast.Node, depth int) {
	switch {
	case name == "image" && slices.Contains(containerLists, key), name == "reference" && key == imageVolume:
		r.image(value)
	case name == "image" && key == "volumes[]":
		name = imageVolume
	}
	r.kubernetes(name, value, depth)
}

// operations finds the images that a JSON patch puts somewhere: a list of what
// to do, each with the place and the value.
// https://www.rfc-editor.org/rfc/rfc6902
func (r *document) operations(body ast.Node) {
	for _, item := range r.items(body) {
		if r.spent(0) {
			return
		}
		op := r.fields(item)
		at := strings.Split(r.text(op.at["path"]), "/")
		if verb := r.text(op.at["op"]); verb != "add" && verb != "replace" {
			continue
		}
		at = append([]string{"", "", "", ""}, at...) // what lies above all
		n := len(at)
		above, last := at[n-2], at[n-1]
		switch {
		case last == "-" || isNumber(last):
			r.kubernetes(above+"[]", op.at["value"], 0)
		case isNumber(above):
			r.field(at[n-3]+"[]", last, op.at["value"], 0)
		case above == "image" && isNumber(at[n-3]) && at[n-4] == "volumes":
			r.field(imageVolume, last, op.at["value"], 0)
		default:
			r.field(above, last, op.at["value"], 0)
		}
	}
}

// compose finds the images of services. Of a service that is built, it is the
// name of what comes out.
func (r *document) compose(top fields) {
	services := r.fields(top.at["services"])
	for _, name := range services.order {
		service := r.fields(services.at[name])
		if !r.has(service.at["build"]) {
			r.image(service.at["image"])
		}
		for _, n := range r.items(service.at["volumes"]) {
			if v := r.fields(n); r.text(v.at["type"]) == "image" {
				r.image(v.at["source"])
			}
		}
	}
}

// image takes an image's name. A variable that has a value of its own there is
// read, as compose has them.
func (r *document) image(n ast.Node) {
	text := r.text(n)
	if text == "" {
		return
	}
	expanded, missing := expand(text, func(string) (string, bool) { return "", false })
	f := image(expanded, lineOf(n))
	switch {
	case missing != "":
		f.Reference.Source, f.Unknown = text, "the variable "+missing+" has no value in the file"
	case strings.Contains(text, "{{"):
		f.Unknown = "it is made by a template"
	}
	r.found = append(r.found, f)
}

// chart finds what a chart depends on.
func (r *document) chart(top fields) {
	for _, n := range r.items(top.at["dependencies"]) {
		d := r.fields(n)
		repository, name, version := r.text(d.at["repository"]), r.text(d.at["name"]), r.text(d.at["version"])
		if repository == "" || strings.HasPrefix(repository, "file://") {
			continue // it lies in the repository
		}
		ref, err := Chart(repository, name, version)
		f := Found{Reference: ref, Line: lineOf(n)}
		switch {
		case strings.HasPrefix(repository, "@") || strings.HasPrefix(repository, "alias:"):
			f.Unknown = "its repository is a name of helm's on one machine: write its address"
		case err != nil:
			f.Unknown = err.Error()
		}
		r.found = append(r.found, f)
	}
}
