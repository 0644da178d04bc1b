// Whether libFuzzer is there: compiled and linked when the build is set up.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }
