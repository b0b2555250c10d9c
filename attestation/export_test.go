package attestation

// Judgeable is judgeable, whose bytes are a stranger's.
func Judgeable(der []byte) error { return judgeable(der) }
