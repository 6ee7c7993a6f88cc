package evidence

import (
	"encoding/json"
	"slices"
	"strings"
)

// Materials lists what a release was made of and with, as its provenance and its
// bill of materials name it: digests ("sha256:…", "gitCommit:…"), package URLs
// ("pkg:golang/example.com/lib@v1.2.0") and names of pinned references. What
// can't be read lists nothing.
func Materials(provenance, bill []byte) []string {
	var out []string
	add := func(algorithm, sum string) {
		if sum != "" {
			out = append(out, strings.ToLower(strings.ReplaceAll(algorithm, "-", ""))+":"+strings.ToLower(sum))
		}
	}
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
	if json.Unmarshal(provenance, &p) == nil {
		for _, d := range p.Predicate.BuildDefinition.ResolvedDependencies {
			out = append(out, d.Name)
			for algorithm, sum := range d.Digest {
				add(algorithm, sum)
			}
		}
	}
	var b struct {
		Components []struct {
			Name   string
			PURL   string `json:"purl"`
			Hashes []struct{ Alg, Content string }
		}
	}
	if json.Unmarshal(bill, &b) == nil {
		for _, c := range b.Components {
			out = append(out, c.PURL)
			if c.PURL == "" {
				out = append(out, c.Name)
			}
			for _, h := range c.Hashes {
				add(h.Alg, h.Content)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(m string) bool { return m == "" })
}

// MadeWith reports whether a material is among those listed. A package URL
// without a version stands for every version.
func MadeWith(materials []string, material string) bool {
	if algorithm, sum, ok := strings.Cut(material, ":"); ok && algorithm != "pkg" {
		material = strings.ToLower(algorithm) + ":" + strings.ToLower(sum)
	}
	return slices.ContainsFunc(materials, func(m string) bool {
		if m == material {
			return true
		}
		rest, ok := strings.CutPrefix(m, material)
		return ok && strings.HasPrefix(material, "pkg:") && (strings.HasPrefix(rest, "@") || strings.HasPrefix(rest, "?"))
	})
}
