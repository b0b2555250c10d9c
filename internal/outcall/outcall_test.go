package outcall_test

import (
	"testing"

	"github.com/zerotouch-dps/dps/internal/outcall"
)

// TestDialledAddresses: a name may lead anywhere; the address is judged that is dialled.
func TestDialledAddresses(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"169.254.169.254:443": false, "[fe80::1%eth0]:443": false, "[::ffff:169.254.1.1]:443": false, "[ff02::1]:443": false,
		"168.63.129.16:80": false, "[fd00:ec2::254]:80": false, "[64:ff9b::a9fe:a9fe]:443": false, "0.0.0.0:80": false, "name:443": false,
		"192.0.2.1:443": true, "10.0.0.7:8443": true, "127.0.0.1:80": true, "[2001:db8::1]:443": true, "[64:ff9b::c000:201]:443": true,
	} {
		if err := outcall.Dialable(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}
