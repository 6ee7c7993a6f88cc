package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Bill is what a release is made of. It has neither time nor version: the same
// release has the same bill of materials, whoever builds it.
type Bill struct {
	Project towpath.ProjectName
	Release towpath.Digest
	Parts   []Part
	Pins    []Pin // what the lock file says outside references stand for
}

// Part is a component of the release, or a folder packed beside them.
type Part struct {
	Name      string
	Kind      towpath.ComponentKind // empty: a folder
	Layer     towpath.Digest        // of its files
	DependsOn []towpath.ComponentName
	Packages  []Package
	// Unread says of each manifest of packages that could not be read why; the
	// bill then says that it is incomplete.
	Unread []string
}

// Pin is a pin as the bill has it.
type Pin struct {
	towpath.Pin
	PURL string // https://github.com/package-url/purl-spec; may be empty
	// Unpinned says why it can still move; the bill then says that it is
	// incomplete.
	Unpinned string
}

// Package is a library that a component is made with.
type Package struct {
	PURL    string // https://github.com/package-url/purl-spec
	Name    string
	Version string
	Hash    Hash
	Scope   Scope
}

// Hash is a sum in lower-case hex; empty when none is known.
type Hash struct {
	Algorithm string // as CycloneDX names it: "SHA-256"
	Sum       string
}

// Scope is whether a package is there when the component runs.
type Scope string

// The scopes of a package.
const (
	ScopeRequired Scope = "required"
	ScopeOptional Scope = "optional"
	ScopeExcluded Scope = "excluded" // for development only
)

// rank orders scopes: what is needed most comes first.
func (s Scope) rank() int {
	return slices.Index([]Scope{ScopeRequired, ScopeOptional, ScopeExcluded}, s)
}

// MakeBill writes a bill of materials as CycloneDX 1.6, in canonical JSON.
func MakeBill(b Bill) ([]byte, error) {
	const op = "evidence.sbom"
	w := newBillWriter(b)
	for _, p := range b.Parts {
		w.part(p)
	}
	for _, p := range b.Pins {
		w.pin(p)
	}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).EncodeVersion(w.finish(), cdx.SpecVersion1_6); err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the bill of materials can't be written").WithCause(err)
	}
	return oci.Canonical(json.RawMessage(out.Bytes()))
}

// billWriter gathers a bill: components and dependencies by their reference.
type billWriter struct {
	bom        *cdx.BOM
	root       string
	components map[string]cdx.Component
	dependsOn  map[string][]string
	unread     []string // references of what is not known in full
}

func newBillWriter(b Bill) *billWriter {
	w := &billWriter{
		bom: cdx.NewBOM(), root: "release/" + string(b.Release),
		components: map[string]cdx.Component{}, dependsOn: map[string][]string{},
	}
	w.bom.SerialNumber = "urn:uuid:" + uuidOf(b)
	w.bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		BOMRef: w.root, Type: cdx.ComponentTypeApplication, Name: string(b.Project), Version: string(b.Release),
		Hashes: sha256Of(b.Release),
	}}
	w.dependsOn[w.root] = nil
	return w
}

func (w *billWriter) part(p Part) {
	ref, kind := "component/"+p.Name, cdx.ComponentTypeApplication
	props := []cdx.Property{{Name: "towpath:kind", Value: string(p.Kind)}}
	if p.Kind == "" {
		ref, kind, props = "folder/"+p.Name, cdx.ComponentTypeData, nil
	}
	for _, why := range p.Unread {
		props = append(props, cdx.Property{Name: "towpath:unread", Value: why})
	}
	c := cdx.Component{BOMRef: ref, Type: kind, Name: p.Name, Version: string(p.Layer), Hashes: sha256Of(p.Layer)}
	if len(props) > 0 {
		c.Properties = &props
	}
	w.add(w.root, c)
	for _, on := range p.DependsOn {
		w.dependsOn[ref] = append(w.dependsOn[ref], "component/"+string(on))
	}
	for _, lib := range p.Packages {
		l := cdx.Component{
			BOMRef: lib.PURL, Type: cdx.ComponentTypeLibrary, Name: lib.Name, Version: lib.Version,
			PackageURL: lib.PURL, Scope: cdx.Scope(lib.Scope),
		}
		if lib.Hash.Sum != "" {
			l.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgorithm(lib.Hash.Algorithm), Value: lib.Hash.Sum}}
		}
		w.add(ref, l)
	}
	if len(p.Unread) > 0 {
		w.unread = append(w.unread, ref)
	}
}

func (w *billWriter) pin(p Pin) {
	c := cdx.Component{
		BOMRef: "pin/" + p.Name, Type: cdx.ComponentTypeFile, Name: p.Name, PackageURL: p.PURL,
		Version: cmp.Or(p.Version, p.Commit, string(p.Digest)),
	}
	switch p.Kind {
	case towpath.ExternalImage:
		c.Type = cdx.ComponentTypeContainer
	case towpath.ExternalChart, towpath.ExternalModule, towpath.ExternalProvider:
		c.Type = cdx.ComponentTypeLibrary
	}
	switch {
	case p.Digest != "":
		c.Hashes = sha256Of(p.Digest)
	case len(p.Commit) == 40:
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA1, Value: p.Commit}}
	case p.Commit != "":
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: p.Commit}}
	}
	if p.Unpinned != "" {
		c.Properties = &[]cdx.Property{{Name: "towpath:unpinned", Value: p.Unpinned}}
		w.unread = append(w.unread, c.BOMRef)
	}
	w.add(w.root, c)
}

// add says that one thing needs a component. What several need is there once,
// and is required if any of them requires it.
func (w *billWriter) add(from string, c cdx.Component) {
	if had, ok := w.components[c.BOMRef]; ok && Scope(had.Scope).rank() <= Scope(c.Scope).rank() {
		c = had
	}
	w.components[c.BOMRef] = c
	w.dependsOn[from] = append(w.dependsOn[from], c.BOMRef)
	if _, ok := w.dependsOn[c.BOMRef]; !ok {
		w.dependsOn[c.BOMRef] = nil
	}
}

func (w *billWriter) finish() *cdx.BOM {
	components, dependencies := []cdx.Component{}, []cdx.Dependency{}
	for _, c := range w.components {
		components = append(components, c)
	}
	for ref, on := range w.dependsOn {
		slices.Sort(on)
		on = slices.Compact(on)
		d := cdx.Dependency{Ref: ref}
		if len(on) > 0 {
			d.Dependencies = &on
		}
		dependencies = append(dependencies, d)
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	slices.SortFunc(dependencies, func(a, b cdx.Dependency) int { return cmp.Compare(a.Ref, b.Ref) })
	w.bom.Components, w.bom.Dependencies = &components, &dependencies
	if len(w.unread) > 0 {
		slices.Sort(w.unread)
		refs := []cdx.BOMReference{}
		for _, r := range w.unread {
			refs = append(refs, cdx.BOMReference(r))
		}
		w.bom.Compositions = &[]cdx.Composition{{Aggregate: cdx.CompositionAggregateIncomplete, Dependencies: &refs}}
	}
	return w.bom
}

func sha256Of(d towpath.Digest) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.Hex()}}
}

// uuidOf names a bill by its release: a UUID of version 8, RFC 9562 section 5.8.
func uuidOf(b Bill) string {
	id := []byte(towpath.HashOf("sbom", string(b.Project), string(b.Release)).Hex())[:32]
	raw := make([]byte, 16)
	_, _ = hex.Decode(raw, id) // it is hex
	raw[6], raw[8] = raw[6]&0x0f|0x80, raw[8]&0x3f|0x80
	s := hex.EncodeToString(raw)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
