package evidence

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// maxBillDepth bounds objects and arrays of a bill in each other.
const maxBillDepth = 256

// ProvenanceMaterials lists what a release was made of, as the statement of its
// provenance names it: digests ("sha256:…", "gitCommit:…") and names of pinned
// references. Its error is that this can't be read.
func ProvenanceMaterials(statement []byte) ([]string, error) {
	var p struct {
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct {
					Name   string
					Digest map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(statement, &p); err != nil {
		return nil, towpath.E(towpath.KindInvalid, "evidence.materials", "the provenance can't be read").WithCause(err)
	}
	var all materials
	for _, d := range p.Predicate.BuildDefinition.ResolvedDependencies {
		all.add(d.Name)
		for algorithm, sum := range d.Digest {
			all.sum(algorithm, sum)
		}
	}
	return all.sorted(), nil
}

// billPart is a component of a bill, with those that it is made of.
type billPart struct {
	Name       string
	PURL       string `json:"purl"`
	Hashes     []struct{ Alg, Content string }
	Components []billPart
}

// BillMaterials lists what a release is made with, as a CycloneDX bill of materials
// names it, in components at any depth: digests, package URLs
// ("pkg:golang/example.com/lib@v1.2.0") and names of what has none. Its error is
// that this can't be read, or that two readers may read different things.
func BillMaterials(bill []byte) ([]string, error) {
	wrong := func(format string, args ...any) *towpath.Error {
		return towpath.E(towpath.KindInvalid, "evidence.materials", format, args...).WithHint("attach a bill in CycloneDX JSON")
	}
	if err := oci.Unambiguous(bill, maxBillDepth); err != nil {
		return nil, wrong("the bill of materials can't be read: %v", err)
	}
	var b struct {
		Format     string `json:"bomFormat"`
		Metadata   struct{ Component billPart }
		Components []billPart
	}
	if err := json.Unmarshal(bill, &b); err != nil || b.Format != "CycloneDX" {
		return nil, wrong("the bill of materials can't be read: it is no CycloneDX JSON").WithCause(err)
	}
	var all materials
	all.parts(b.Metadata.Component.Components)
	all.parts(b.Components)
	return all.sorted(), nil
}

// materials are those that were found.
type materials []string

func (m *materials) add(name string) {
	if name != "" {
		*m = append(*m, name)
	}
}

func (m *materials) sum(algorithm, sum string) {
	if sum != "" {
		m.add(strings.ToLower(strings.ReplaceAll(algorithm, "-", "")) + ":" + strings.ToLower(sum))
	}
}

func (m *materials) parts(all []billPart) {
	for _, c := range all {
		m.add(cmp.Or(c.PURL, c.Name))
		for _, h := range c.Hashes {
			m.sum(h.Alg, h.Content)
		}
		m.parts(c.Components)
	}
}

func (m *materials) sorted() []string {
	slices.Sort(*m)
	return slices.Compact(*m)
}

// MadeWith reports whether a material is among those listed. A package URL
// without a version stands for every version; the digits of a digest may be
// written in capitals.
func MadeWith(materials []string, material string) bool {
	digest := material
	if digestForm.MatchString(material) {
		digest = strings.ToLower(material)
	}
	return slices.ContainsFunc(materials, func(m string) bool {
		if m == material || m == digest {
			return true
		}
		rest, ok := strings.CutPrefix(m, material)
		return ok && strings.HasPrefix(material, "pkg:") && (strings.HasPrefix(rest, "@") || strings.HasPrefix(rest, "?"))
	})
}

// digestForm is what a digest looks like. Names have colons too.
var digestForm = regexp.MustCompile(`^[A-Za-z0-9]+:[0-9A-Fa-f]+$`)
