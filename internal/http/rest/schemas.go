package rest

import (
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/merkle"
)

// newSchemas names the schemas of nouns and of the API's own bodies by their
// type, and those of other packages by package and type: several have a List.
func newSchemas() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", func(t reflect.Type, hint string) string {
		name := huma.DefaultSchemaNamer(t, hint)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch pkg := path.Base(t.PkgPath()); pkg {
		case ".", "towpath", "api":
			return name
		case "v2":
			return "Huma" + name
		default:
			return strings.ToUpper(pkg[:1]) + pkg[1:] + name
		}
	})
	r.RegisterTypeAlias(reflect.TypeFor[merkle.Hash](), reflect.TypeFor[[]byte]()) // base64
	return r
}
