Console.Error.WriteLine("This build has no GPU kernels: no NuGet source supplied ILGPU 1.5.3. Build with -p:Ilgpu=true to see why.");
return 1;
