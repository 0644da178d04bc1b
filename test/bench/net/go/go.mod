module volenetbench

go 1.19
