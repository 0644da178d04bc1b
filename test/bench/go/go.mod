module volebench

go 1.19
