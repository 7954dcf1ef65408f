#!/usr/bin/env bash
# Everything that must hold before a change lands: format, build, tests on every SIMD level, pack.
set -euo pipefail
cd "$(dirname "$0")"
step() { printf '\n== %s\n' "$*"; }

# Style and naming. Not `dotnet format whitespace`: it would indent the loop nests of the reference kernels, written as one block, seven levels deep.
step "format"
dotnet format style RefConv.sln --verify-no-changes --severity warn

step "build"
dotnet build RefConv.sln -c Release

step "tests at this machine's widest vectors"
dotnet test RefConv.sln -c Release --no-build

step "tests with 256-bit vectors"
DOTNET_EnableAVX512=0 dotnet test RefConv.sln -c Release --no-build
step "tests with 128-bit vectors"
DOTNET_EnableAVX2=0 dotnet test RefConv.sln -c Release --no-build
step "tests without vectors"
DOTNET_EnableHWIntrinsic=0 dotnet test RefConv.sln -c Release --no-build

step "pack"
dotnet pack RefConv.sln -c Release -o artifacts
ls -l artifacts

step "the folder for machines with a GPU"
if [ -f tests/RefConv.Tests/bin/Release/net10.0/ILGPU.dll ]; then bench/gpu.sh publish artifacts/gpu; else echo "left out: NuGet has no ILGPU here"; fi
