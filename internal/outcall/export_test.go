package outcall

// Dialable is the judgment of an address after its name was looked up.
func Dialable(address string) error { return refuseForbidden("tcp", address, nil) }
