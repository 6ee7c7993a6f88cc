package projectfile

import (
	"bytes"
	_ "embed" // the file to start from

	"github.com/towpath/towpath/internal/towpath"
)

//go:embed template.yaml
var template []byte

// Template is the commented file that `towpath init` writes for a project. It
// is valid for the process kind.
func Template(project towpath.ProjectName) []byte {
	name := string(project)
	switch name {
	case "null", "true", "false": // names to us, other things to YAML
		name = `"` + name + `"`
	}
	return bytes.ReplaceAll(template, []byte("{{project}}"), []byte(name))
}
