package pin_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/pin"
)

// TestScanner reads configurations of several folders: the lock file of the one
// that is run counts for the modules that it uses.
func TestScanner(t *testing.T) {
	const (
		needs = "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\", version = \"~> 5.0\" }\n  }\n}\n"
		uses  = "module \"vpc\" {\n  source = \"../modules/vpc\"\n}\n"
		locks = "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.1.0\"\n  hashes = [\"h1:abc=\"]\n}\n"
		old   = "provider \"registry.opentofu.org/hashicorp/aws\" {\n  version = \"4.9.0\"\n  hashes = [\"h1:abc=\"]\n}\n"
		none  = "provider \"registry.terraform.io/hashicorp/google\" {\n  version = \"5.1.0\"\n  hashes = [\"h1:abc=\"]\n}\n"
	)
	for _, c := range []struct {
		what  string
		files map[string]string
		want  []string
	}{
		{"a module is pinned by who uses it", map[string]string{"modules/vpc/main.tf": needs, "live/main.tf": uses, "live/.terraform.lock.hcl": locks},
			[]string{"1 provider registry.terraform.io/hashicorp/aws 5.1.0"}},
		{"and not when that has no lock file", map[string]string{"modules/vpc/main.tf": needs, "live/main.tf": uses}, []string{"3 provider hashicorp/aws ~> 5.0"}},
		{"nor by a lock file elsewhere", map[string]string{"modules/vpc/main.tf": needs, "live/main.tf": uses, "other/.terraform.lock.hcl": locks},
			[]string{"1 provider registry.terraform.io/hashicorp/aws 5.1.0", "3 provider hashicorp/aws ~> 5.0"}},
		{"each that uses it has to", map[string]string{"modules/vpc/main.tf": needs, "live/main.tf": uses, "live/.terraform.lock.hcl": locks, "test/main.tf": uses},
			[]string{"1 provider registry.terraform.io/hashicorp/aws 5.1.0", "3 provider hashicorp/aws ~> 5.0"}},
		{"a lock file that is too old", map[string]string{"main.tf": needs, ".terraform.lock.hcl": old}, []string{
			"1 provider registry.opentofu.org/hashicorp/aws 4.9.0",
			"3 provider hashicorp/aws ~> 5.0: .terraform.lock.hcl has 4.9.0, which is not allowed: terraform init -upgrade brings it up to date",
		}},
		{"a lock file of something else", map[string]string{"main.tf": needs, ".terraform.lock.hcl": none}, []string{
			"1 provider registry.terraform.io/hashicorp/google 5.1.0", "3 provider hashicorp/aws ~> 5.0: .terraform.lock.hcl does not have it: terraform init adds it",
		}},
		{"a lock file says what resources use", map[string]string{"main.tf": "resource \"aws_vpc\" \"v\" {}", ".terraform.lock.hcl": locks},
			[]string{"1 provider registry.terraform.io/hashicorp/aws 5.1.0"}},
		{"a provider that only a resource names, and the lock file lacks", map[string]string{"main.tf": "resource \"random_id\" \"x\" {}\nresource \"random_pet\" \"y\" {}\n", ".terraform.lock.hcl": locks}, []string{
			"1 provider hashicorp/random: .terraform.lock.hcl does not have it: terraform init adds it", "1 provider registry.terraform.io/hashicorp/aws 5.1.0",
		}},
		{"one that only another host's lock file entry is called like", map[string]string{"main.tf": "resource \"aws_vpc\" \"v\" {}", ".terraform.lock.hcl": strings.ReplaceAll(locks, "registry.terraform.io", "e.com")}, []string{
			"1 provider e.com/hashicorp/aws 5.1.0", "1 provider hashicorp/aws: .terraform.lock.hcl does not have it: terraform init adds it",
		}},
		{"one that another folder calls so", map[string]string{
			"main.tf": "terraform {\n  required_providers {\n    random = { source = \"acme/random\", version = \"1.0.0\" }\n  }\n}\nmodule \"m\" {\n  source = \"./m\"\n}\n", "m/main.tf": "resource \"random_id\" \"x\" {}\n",
		}, []string{
			"1 provider hashicorp/random: nothing says which version of the provider is used: name it under required_providers, or commit .terraform.lock.hcl", "3 provider acme/random 1.0.0",
		}},
		{"one that another folder requires", map[string]string{"main.tf": needs + "module \"m\" {\n  source = \"./m\"\n}\n", "m/main.tf": "resource \"aws_vpc\" \"v\" {}\n"}, []string{"3 provider hashicorp/aws ~> 5.0"}},
		{"providers that resources name themselves", map[string]string{
			"main.tf": "resource \"aws_vpc\" \"v\" {\n  provider = acme.west\n}\ncheck \"c\" {\n  data \"http\" \"h\" {}\n}\n", ".terraform.lock.hcl": locks,
			"j.tf.json": `{"data": {"aws_vpc": {"w": {"provider": "own.east"}}}}`,
		}, []string{
			"1 provider hashicorp/acme: .terraform.lock.hcl does not have it: terraform init adds it", "1 provider hashicorp/own: .terraform.lock.hcl does not have it: terraform init adds it",
			"1 provider registry.terraform.io/hashicorp/aws 5.1.0", "5 provider hashicorp/http: .terraform.lock.hcl does not have it: terraform init adds it",
		}},
		{"folders that use each other", map[string]string{
			"a/main.tf": "module \"b\" {\n  source = \"../b\"\n}\n", "b/main.tf": "module \"a\" {\n  source = \"../a\"\n}\n" + needs,
		}, []string{"6 provider hashicorp/aws ~> 5.0"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var s pin.Scanner
			for name, src := range c.files {
				s.Add(name, []byte(src))
			}
			if diff := cmp.Diff(c.want, lines(s.Found())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
