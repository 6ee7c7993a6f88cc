package towpath_test

import (
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestReplicationRule_Serves(t *testing.T) {
	environment := func(name towpath.EnvironmentName, account towpath.CloudAccount, region towpath.Region) towpath.Environment {
		return towpath.Environment{Project: "shop", Name: name, Rules: towpath.EnvironmentSpec{Account: account, Region: region}}
	}
	all := []towpath.Environment{
		environment("dev", "", ""), environment("staging", "111", "eu-west-1"),
		environment("prod", "222", "eu-west-1"), environment("prod-us", "222", "us-east-1"),
	}
	for _, tt := range []struct {
		name string
		rule towpath.ReplicationRule
		want []towpath.EnvironmentName
	}{
		{"a rule on publish serves no environment", towpath.ReplicationRule{}, nil},
		{"an environment is served wherever it stands", towpath.ReplicationRule{On: "prod"}, []towpath.EnvironmentName{"prod"}},
		{"a region is every environment in it", towpath.ReplicationRule{Region: "eu-west-1"}, []towpath.EnvironmentName{"staging", "prod"}},
		{"an account is every environment in it", towpath.ReplicationRule{Account: "222"}, []towpath.EnvironmentName{"prod", "prod-us"}},
		{"with both, both must match", towpath.ReplicationRule{Account: "222", Region: "eu-west-1"}, []towpath.EnvironmentName{"prod"}},
		{"nobody may be there yet", towpath.ReplicationRule{Region: "ap-south-1"}, nil},
		{"names are compared as they are written", towpath.ReplicationRule{Region: "EU-west-1"}, nil},
		{"another project's environments are not served", towpath.ReplicationRule{Project: "billing", Region: "eu-west-1"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.rule.Project == "" {
				tt.rule.Project = "shop"
			}
			var got []towpath.EnvironmentName
			for _, e := range all {
				if tt.rule.Serves(e) {
					got = append(got, e.Name)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("it serves %v, want %v", got, tt.want)
			}
		})
	}
}
